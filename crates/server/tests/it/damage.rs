//! Damage to the data directory: the start ends with exit code 1 and one line, whatever the storage engine would do.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The current manifest of each of the engine's keyspaces; older ones lie beside it.
fn manifests(home: &Home) -> Vec<PathBuf> {
    let keyspaces = fs::read_dir(home.data().join("store/keyspaces")).unwrap();
    let current = |keyspace: PathBuf| {
        let pointer = fs::read(keyspace.join("current")).unwrap();
        keyspace.join(format!("v{}", u64::from_le_bytes(pointer[..8].try_into().unwrap())))
    };
    keyspaces.map(|keyspace| current(keyspace.unwrap().path())).collect()
}

/// Flips each of `bits` of `file` in turn, and expects that the start is refused in good order.
fn refuses_each(home: &Home, file: &Path, bits: impl Iterator<Item = usize>) {
    let whole = fs::read(file).unwrap();
    for bit in bits {
        let mut damaged = whole.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        fs::write(file, &damaged).unwrap();
        let output = serve(home);
        assert_eq!(output.status.code(), Some(1), "bit {bit} of {}: {output:?}", file.display());
        let line = refused(&output);
        assert!(line.contains("is damaged: "), "bit {bit} of {}: {line}", file.display());
        assert_eq!(fs::read(file).unwrap(), damaged, "bit {bit} of {}", file.display());
    }
    fs::write(file, whole).unwrap();
}

#[test]
fn a_flipped_bit_in_a_manifest_ends_the_start_with_one_line_and_no_abort() {
    let home = stopped();
    let manifests = manifests(&home);
    assert_eq!(manifests.len(), 4);
    for manifest in &manifests {
        let bytes = fs::read(manifest).unwrap().len();
        // Every bit of the first 16 bytes, where the engine's assertions look, and one of each third byte after.
        refuses_each(
            &home,
            manifest,
            (0..16 * 8).chain((16..bytes).step_by(3).map(|byte| byte * 8 + byte % 8)),
        );
        // The pointer to the manifest, with its checksum.
        refuses_each(&home, &manifest.with_file_name("current"), (0..25).map(|byte| byte * 8 + byte % 8));
    }
    assert_eq!(home.serve(&[]).stop(), Some(0));
}
