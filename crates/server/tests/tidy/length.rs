//! Files are short enough to be read in one sitting.

use crate::source::below;

/// Lines of a file, without its inline test modules.
const LINES_MAX: usize = 400;
/// Folders with the sources of all crates.
const FOLDERS: [&str; 3] = ["crates", "acceptance/src", "bench/src"];

/// Longer files and the reason. This list may only shrink.
const EXCEPTIONS: &[(&str, &str)] = &[
    (
        "crates/server/src/model_tests/model.rs",
        "the reference model: one value whose methods mirror the operations",
    ),
    (
        "crates/server/src/model_tests/world.rs",
        "the driver of the reference model, a step for each operation",
    ),
];

#[test]
fn no_file_is_longer_than_400_lines_without_its_tests() {
    let mut complaints = Vec::new();
    let files = FOLDERS.iter().flat_map(|folder| below(folder));
    for file in files.filter(|file| file.path.contains("/src/")) {
        let excepted = EXCEPTIONS.iter().any(|(path, _)| *path == file.path);
        let lines = file.lines_without_tests;
        if lines > LINES_MAX && !excepted {
            complaints.push(format!("{} has {lines} lines without its tests; divide it", file.path));
        }
        if lines <= LINES_MAX && excepted {
            complaints.push(format!("{} is short enough: take it off the list", file.path));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
