//! No files of a crate import each other in a circle.

use std::collections::HashSet;

use crate::imports::{Crate, Import, pairs, planted};
use crate::source::below;

/// The source folders of the crates.
const CRATES: [&str; 7] = [
    "crates/core/src",
    "crates/wire/src",
    "crates/store/src",
    "crates/outbound/src",
    "crates/server/src",
    "acceptance/src",
    "bench/src",
];

/// Imports that are part of a circle: from, to, and the reason. This list may only shrink.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut complaints = Vec::new();
    for folder in CRATES {
        complaints.extend(check(&Crate::read(folder, below(folder)), folder, EXCEPTIONS));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// All circles of one crate that are wrong.
fn check(krate: &Crate, folder: &str, exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let pairs = pairs(krate);
    let excepted = |import: &Import| {
        let (from, to) = (&krate.files[import.from].path, &krate.files[import.to].path);
        exceptions.iter().any(|exception| exception.0 == *from && exception.1 == *to)
    };
    let kept: Vec<&Import> = krate.imports.iter().filter(|import| !excepted(import)).collect();
    let mut complaints = Vec::new();
    let mut reported = HashSet::new();
    for import in &kept {
        if !reported.contains(&import.from)
            && let Some(way) = way(&kept, import.to, import.from)
        {
            let circle: Vec<&Import> = std::iter::once(*import).chain(way).collect();
            reported.extend(circle.iter().map(|import| import.from));
            let steps: Vec<String> = circle.iter().map(|import| step(krate, import)).collect();
            complaints.push(format!("these files import each other in a circle:\n{}", steps.join("\n")));
        }
    }
    for (from, to, _) in exceptions.iter().filter(|exception| exception.0.starts_with(folder)) {
        let needed =
            pairs.get(&(*from, *to)).is_some_and(|import| way(&kept, import.to, import.from).is_some());
        if !needed {
            complaints.push(format!(
                "{from} no longer imports {to} in a circle: take the exception off the list in tests/tidy/circles.rs"
            ));
        }
    }
    complaints
}

fn step(krate: &Crate, import: &Import) -> String {
    let (from, to) = (&krate.files[import.from].path, &krate.files[import.to].path);
    format!("  {from}:{}: {} of {to}", import.line, import.path)
}

/// A shortest chain of imports that leads from one file to another.
fn way<'a>(imports: &[&'a Import], from: usize, to: usize) -> Option<Vec<&'a Import>> {
    let mut ways: Vec<(usize, Vec<&Import>)> = vec![(from, Vec::new())];
    let mut seen = HashSet::from([from]);
    let mut next = 0;
    while let Some((at, way)) = ways.get(next).cloned() {
        if at == to {
            return Some(way);
        }
        for import in imports.iter().filter(|import| import.from == at) {
            if seen.insert(import.to) {
                let mut longer = way.clone();
                longer.push(import);
                ways.push((import.to, longer));
            }
        }
        next += 1;
    }
    None
}

#[test]
fn a_planted_circle_is_found_and_an_exception_that_is_not_needed_as_well() {
    let files = [
        ("src/lib.rs", "mod a;\nmod b;\nmod c;\n"),
        ("src/a.rs", "use crate::b::B;\npub struct A;\n"),
        ("src/b.rs", "\nuse crate::c::C;\npub struct B;\n"),
        ("src/c.rs", "use super::a::A;\npub struct C;\n"),
    ];
    let krate = planted(&files);
    let complaints = check(&krate, "src", &[]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains("src/b.rs:2: crate::c::C of src/c.rs"), "{complaints:?}");
    assert_eq!(check(&krate, "src", &[("src/c.rs", "src/a.rs", "a reason")]), Vec::<String>::new());

    let straight = planted(&files[..3]);
    let complaints = check(&straight, "src", &[("src/c.rs", "src/a.rs", "a reason")]);
    assert!(complaints.len() == 1 && complaints[0].contains("take the exception off"), "{complaints:?}");
}
