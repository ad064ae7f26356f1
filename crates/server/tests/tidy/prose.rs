//! Doc comments begin with a noun or a verb. Those that begin with a headless "What …" or "Whether …" are counted, and
//! their number may only fall. No line of a comment is longer than 120 columns, which the formatter does not check.

use std::collections::BTreeMap;

use crate::source::{Source, below};

/// The number that each part of the code may have: one line each, with an empty line between so that lines change
/// independently.
const ALLOWED: &str = include_str!("headless.txt");
/// Folders whose files are counted.
const FOLDERS: [&str; 4] = ["crates", "acceptance", "bench", "fuzz"];
/// Characters of a line with a comment.
const COLUMNS_MAX: usize = 120;

#[test]
fn headless_doc_comments_become_fewer() {
    let mut allowed = BTreeMap::new();
    for line in ALLOWED.lines().filter(|line| !line.is_empty()) {
        let (part, number) = line.split_once(' ').unwrap();
        assert!(allowed.insert(part.to_owned(), number.parse::<usize>().unwrap()).is_none(), "{part} twice");
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in FOLDERS.iter().flat_map(|folder| below(folder)) {
        let lines = found.entry(part(&file.path)).or_default();
        lines.extend(headless(&file).map(|line| format!("{}:{line}", file.path)));
    }
    let mut complaints = Vec::new();
    for (part, lines) in &found {
        let (number, allowed) = (lines.len(), allowed.remove(part).unwrap_or(0));
        if number > allowed {
            complaints.push(format!(
                "{part}: {number} doc comments begin with \"What\" or \"Whether\", {allowed} are allowed. Begin with \
                 the noun (\"The …\", \"Returns …\", \"True if …\"):\n  {}",
                lines.join("\n  ")
            ));
        } else if number < allowed {
            complaints.push(format!("{part}: write {number} for {allowed} in tests/tidy/headless.txt"));
        }
    }
    complaints.extend(allowed.keys().map(|part| format!("{part}: take it off tests/tidy/headless.txt")));
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// The part of the code that a file is counted with: a room of the server, or a crate.
fn part(path: &str) -> String {
    let depth = if path.starts_with("crates/server/src/") {
        4
    } else if path.starts_with("crates/") {
        2
    } else {
        1
    };
    path.trim_end_matches(".rs").split('/').take(depth).collect::<Vec<_>>().join("/")
}

/// The numbers of the lines where a doc comment begins headless.
fn headless(file: &Source) -> impl Iterator<Item = usize> {
    let text = |line: &str| {
        let line = line.trim_start();
        line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(|text| text.trim().to_owned())
    };
    let mut before = None;
    let mut found = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        let now = text(line);
        if let Some(now) = &now
            && before.is_none()
            && (now.starts_with("What ") || now.starts_with("Whether "))
        {
            found.push(number + 1);
        }
        before = now;
    }
    found.into_iter()
}

#[test]
fn comments_keep_to_120_columns() {
    let files = FOLDERS.iter().flat_map(|folder| below(folder));
    let found: Vec<String> = files.flat_map(|file| wide(&file)).collect();
    assert!(found.is_empty(), "wrap these comments:\n{}", found.join("\n"));
}

/// The places of the comment lines that are too long.
fn wide(file: &Source) -> Vec<String> {
    let lines = file.text.lines().enumerate();
    let wide =
        lines.filter(|(_, line)| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS_MAX);
    wide.map(|(number, _)| format!("{}:{}", file.path, number + 1)).collect()
}

#[test]
fn columns_are_characters_and_only_comments_are_counted() {
    let text = format!("// {}\n// {}\n\"{}\"\n", "ä".repeat(117), "a".repeat(118), "a".repeat(200));
    assert_eq!(wide(&Source::new("x.rs", text)), ["x.rs:2"]);
}

#[test]
fn only_the_beginning_of_a_doc_comment_counts() {
    let text = "//! What this is.\n\n/// The size.\n/// What remains.\nfn a() {}\n    /// Whether so.\n// What else\n";
    let found: Vec<usize> = headless(&Source::new("x.rs", text.to_owned())).collect();
    assert_eq!(found, [1, 6]);
}
