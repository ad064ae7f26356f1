//! Damage to the data directory: the start ends with exit code 1 and one line, whatever the storage engine would do.

use std::fs;

use crate::server::{Home, carryall, refused, run};

/// A data directory of a server that has been stopped.
fn stopped() -> Home {
    let home = Home::new();
    assert_eq!(home.serve(&[]).stop(), Some(0));
    home
}

fn serve(home: &Home) -> std::process::Output {
    carryall(&["serve", "--store", &home.store(), "--listen", "127.0.0.1:0"]).output().unwrap()
}

#[test]
fn a_lost_number_of_acknowledged_writes_ends_the_start_with_one_line_that_says_what_to_do() {
    let home = stopped();
    let file = home.data().join("acknowledged");
    for content in [None, Some(""), Some("zzzz")] {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let output = serve(&home);
        assert_eq!(output.status.code(), Some(1));
        let line = refused(&output);
        let advice = format!("echo unknown > {}", file.display());
        assert!(line.contains("acknowledged may be missing") && line.contains(&advice), "{line}");
    }
    let advised = format!("echo unknown > {}", file.display());
    assert!(std::process::Command::new("sh").args(["-c", &advised]).status().unwrap().success());
    assert_eq!(home.serve(&[]).stop(), Some(0));
    assert!(run(&["key", "list", "--store", &home.store()]).status.success());
}
