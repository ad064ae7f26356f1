//! Time and randomness enter where the program starts, in `cli`, and travel from there as arguments.

use crate::imports::Crate;
use crate::source::below;

const SERVER: &str = "crates/server/src";

#[test]
fn the_clock_of_the_machine_is_made_where_the_program_starts() {
    let server = Crate::read(SERVER, below(SERVER));
    let mut makers = Vec::new();
    for file in &server.files {
        for (number, line) in file.code.lines().enumerate() {
            if line.contains("Clock::system") {
                makers.push(format!("{}:{}", file.path, number + 1));
            }
        }
    }
    let (at_the_start, elsewhere): (Vec<_>, Vec<_>) =
        makers.iter().partition(|place| place.starts_with("crates/server/src/cli/mod.rs:"));
    assert_eq!(elsewhere, [""; 0], "take a `&Clock` as an argument instead");
    assert_eq!(at_the_start.len(), 1);
}
