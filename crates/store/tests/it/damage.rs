//! Damage to the directory is reported, never silently repaired by losing data; the torn end of a last write that was
//! not acknowledged is no damage.

use std::fs;
use std::path::{Path, PathBuf};

use carryall_core::model::{DatasetRef, Record};
use carryall_store::{OpenError, StoreOptions, StoreUrl, open};

use crate::sample::{AnyStore, open_embedded, prefs, records, update};

const UPDATES: usize = 12;

/// A closed store with a journal of a pool and a few updates.
fn written(dir: &Path) -> (DatasetRef, Vec<Record>) {
    let store = open_embedded(dir);
    let at = prefs(&store);
    for round in 0..UPDATES {
        update(&store, &at, &[(&format!("k{round}"), Some("a value of some length")), ("k", Some("v"))]);
    }
    let all = records(&store, &at, 0).unwrap();
    (at, all)
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("store/0.jnl")
}

/// The journal without the room that the engine has reserved behind it.
fn journal_bytes(dir: &Path) -> Vec<u8> {
    let mut bytes = fs::read(journal(dir)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    bytes
}

fn try_open(dir: &Path) -> Result<AnyStore, OpenError> {
    open(&StoreUrl::Embedded(dir.to_owned()), &StoreOptions::default())
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_damaged_byte_anywhere_in_the_journal_is_reported_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let (at, all) = written(&original);
    let bytes = journal_bytes(&original);
    // Short, so that copying it is cheap.
    fs::write(journal(&original), &bytes).unwrap();
    let first_end = batch_ends(&bytes)[0];
    let mut reported = 0;
    for position in (0..bytes.len()).step_by(23) {
        let damaged = dir.path().join(format!("at-{position}"));
        copy(&original, &damaged);
        let mut changed = bytes.clone();
        changed[position] ^= 0x41;
        fs::write(journal(&damaged), &changed).unwrap();
        match try_open(&damaged) {
            Ok(store) => {
                assert_eq!(records(&store, &at, 0).unwrap(), all, "byte {position} was lost silently");
            }
            Err(OpenError::Damaged { .. }) => {
                reported += 1;
                // Without the first batch the journal looks like one that has just been begun, and the loss is
                // noticed only in what the engine made of it.
                let untouched = fs::read(journal(&damaged)).unwrap() == changed;
                assert!(untouched || position < first_end, "byte {position}: the damage was cut off");
            }
            Err(other) => panic!("byte {position}: {other}"),
        }
        fs::remove_dir_all(&damaged).unwrap();
    }
    assert!(reported * 100 > bytes.len() / 23 * 90, "{reported} of {} bytes", bytes.len() / 23);
}

#[test]
fn a_journal_cut_at_the_end_of_a_batch_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let bytes = journal_bytes(dir.path());
    let ends = batch_ends(&bytes);
    assert!(ends.len() >= UPDATES);
    fs::write(journal(dir.path()), &bytes[..ends[ends.len() / 2]]).unwrap();
    let Err(error) = try_open(dir.path()) else { panic!("it was opened") };
    assert!(error.to_string().contains("batches 8 to 13"), "{error}");
}

/// Where each batch of a journal ends.
fn batch_ends(bytes: &[u8]) -> Vec<usize> {
    (4..=bytes.len()).filter(|end| &bytes[end - 4..*end] == b"FJL\x03").collect()
}

#[test]
fn several_journals_are_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let (at, all) = written(&original);
    let bytes = journal_bytes(&original);
    let ends = batch_ends(&bytes);
    let (middle, last) = (ends[ends.len() / 2], ends[ends.len() - 2]);
    let sealed_with_room = [&bytes[..middle], &[0; 5000]].concat();
    let without_one = &bytes[..ends[ends.len() / 2 - 1]];
    let second = &bytes[middle..];
    for (number, first, second, whole) in [
        (0, &bytes[..middle], second, true),
        (1, &sealed_with_room, second, true),
        (2, without_one, second, false),
        (3, &bytes[..middle - 1], second, false),
        (4, &bytes[..middle], &bytes[middle..last], false),
        (5, &bytes[..middle], &[0; 5000], false),
        (6, &bytes[..], &[0; 5000], true),
        (7, &bytes[..], &[], true),
    ] {
        let copied = dir.path().join(number.to_string());
        copy(&original, &copied);
        fs::write(journal(&copied), first).unwrap();
        fs::write(copied.join("store/1.jnl"), second).unwrap();
        match try_open(&copied) {
            Ok(store) => {
                assert!(whole, "split {number} was opened");
                assert_eq!(records(&store, &at, 0).unwrap(), all, "split {number}");
            }
            Err(error) => assert!(!whole, "split {number}: {error}"),
        }
    }
}

#[test]
fn a_missing_journal_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    fs::remove_file(journal(dir.path())).unwrap();
    let Err(error) = try_open(dir.path()) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn the_torn_end_of_an_unacknowledged_batch_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let (at, all) = written(&original);
    let bytes = journal_bytes(&original);
    let first_end = batch_ends(&bytes)[0];
    let first = &bytes[..first_end];
    let mut wrong_in_the_middle = first.to_vec();
    wrong_in_the_middle[60..90].fill(0);
    let mut wrong_value = first.to_vec();
    wrong_value[first_end - 40] ^= 1;
    for (number, torn) in
        [&first[..5], &first[..70], &first[..first_end - 1], &wrong_in_the_middle, &wrong_value]
            .into_iter()
            .enumerate()
    {
        let crashed = dir.path().join(number.to_string());
        copy(&original, &crashed);
        fs::write(journal(&crashed), [bytes.as_slice(), torn].concat()).unwrap();
        let store = try_open(&crashed).unwrap();
        assert_eq!(records(&store, &at, 0).unwrap(), all, "torn in manner {number}");
        update(&store, &at, &[("later", Some("v"))]);
        drop(store);
        let store = try_open(&crashed).unwrap();
        assert_eq!(records(&store, &at, 0).unwrap().len(), all.len() + 1, "and the journal continues");
    }
}

#[test]
fn a_damaged_file_of_the_engine_is_reported_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let (at, all) = written(&original);
    drop(try_open(&original).unwrap());
    let mut reported = 0;
    for file in files(&original.join("store/keyspaces")) {
        let bytes = fs::read(&file).unwrap();
        for position in (0..bytes.len()).step_by(bytes.len() / 8 + 1) {
            let damaged = dir.path().join("damaged");
            copy(&original, &damaged);
            let mut changed = bytes.clone();
            changed[position] ^= 0x41;
            let target = damaged.join(file.strip_prefix(&original).unwrap());
            fs::write(&target, &changed).unwrap();
            match try_open(&damaged) {
                Ok(store) => {
                    assert_eq!(records(&store, &at, 0).unwrap(), all, "{} at {position}", target.display());
                }
                Err(OpenError::Damaged { .. } | OpenError::Io { .. }) => reported += 1,
                Err(other) => panic!("{} at {position}: {other}", target.display()),
            }
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
    assert!(reported > 0);
}

#[test]
fn a_lost_keyspace_is_reported_and_not_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let original = dir.path().join("original");
    let (at, all) = written(&original);
    for keyspace in 0..4 {
        for lost in [format!("store/keyspaces/{keyspace}"), format!("store/keyspaces/{keyspace}/current")] {
            let damaged = dir.path().join("damaged");
            copy(&original, &damaged);
            let target = damaged.join(&lost);
            if target.is_dir() { fs::remove_dir_all(&target) } else { fs::remove_file(&target) }.unwrap();
            let Err(error) = try_open(&damaged) else { panic!("it was opened without {lost}") };
            assert!(matches!(error, OpenError::Damaged { .. }), "{lost}: {error}");
            fs::remove_dir_all(&damaged).unwrap();
        }
    }
    fs::create_dir(original.join("store/keyspaces/lost+found")).unwrap();
    let Err(error) = try_open(&original) else { panic!("it was opened with a stray folder") };
    assert!(error.to_string().contains("lost+found"), "{error}");
    fs::remove_dir(original.join("store/keyspaces/lost+found")).unwrap();
    assert_eq!(records(&try_open(&original).unwrap(), &at, 0).unwrap(), all);
}

fn acknowledged(dir: &Path) -> PathBuf {
    dir.join("acknowledged")
}

/// Puts `content` in the place of the number of the last acknowledged batch; `None` removes the file.
fn lose_the_number(dir: &Path, content: Option<&[u8]>) {
    match content {
        Some(content) => fs::write(acknowledged(dir), content).unwrap(),
        None => fs::remove_file(acknowledged(dir)).unwrap(),
    }
}

#[test]
fn a_lost_number_of_acknowledged_batches_is_reported_until_an_operator_gives_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let (at, all) = written(dir.path());
    for (content, how) in [
        (None, "is missing"),
        (Some(&b""[..]), "is empty"),
        (Some(b"zzzz"), "holds no number"),
        (Some(&[0; 16]), "holds no number"),
    ] {
        lose_the_number(dir.path(), content);
        let Err(error) = try_open(dir.path()) else { panic!("it was opened although the number {how}") };
        assert!(
            matches!(&error, OpenError::GuardLost { path, .. } if *path == acknowledged(dir.path())),
            "{error}"
        );
        let message = error.to_string();
        assert!(message.contains(how) && message.contains("echo unknown > "), "{message}");
        assert_eq!(fs::read(acknowledged(dir.path())).ok().as_deref(), content, "it is left as it was");
    }
    fs::write(acknowledged(dir.path()), "unknown\n").unwrap();
    for start in 1..=2 {
        let store = try_open(dir.path()).unwrap();
        assert_eq!(records(&store, &at, 0).unwrap(), all, "start {start}");
    }
}

#[test]
fn a_damaged_journal_is_left_as_it_is_while_the_number_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (at, all) = written(dir.path());
    let mut damaged = journal_bytes(dir.path());
    let ends = batch_ends(&damaged);
    damaged[ends[ends.len() - 2] + 40] ^= 1;
    fs::write(journal(dir.path()), &damaged).unwrap();
    lose_the_number(dir.path(), Some(b""));
    let Err(error) = try_open(dir.path()) else { panic!("it was opened") };
    assert!(matches!(error, OpenError::GuardLost { .. }), "{error}");
    assert_eq!(fs::read(journal(dir.path())).unwrap(), damaged);
    fs::write(acknowledged(dir.path()), "unknown").unwrap();
    let store = try_open(dir.path()).unwrap();
    assert_eq!(
        records(&store, &at, 0).unwrap().len(),
        all.len() - 1,
        "the last batch is what was accepted as lost"
    );
}

#[test]
fn a_start_that_was_cut_short_before_the_first_commit_needs_no_number() {
    let dir = tempfile::tempdir().unwrap();
    drop(try_open(dir.path()).unwrap());
    for content in [None, Some(&b""[..]), Some(b"zz")] {
        lose_the_number(dir.path(), content);
        drop(try_open(dir.path()).unwrap());
    }
    let (at, all) = written(dir.path());
    assert_eq!(records(&try_open(dir.path()).unwrap(), &at, 0).unwrap(), all);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
