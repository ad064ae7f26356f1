//! A look at the engine's manifests before the engine opens them.
//!
//! A manifest lists the table files of one keyspace. The engine stores a checksum beside it and never compares it: a
//! damaged manifest makes it panic, in destructors too, which ends the process. A keyspace without a pointer to its
//! manifest it takes for one whose creation was cut short, and deletes it with everything in it. So this module
//! compares the checksums and counts the keyspaces first.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::layout::Creation;
use crate::error::OpenError;

const KEYSPACES: &str = "keyspaces";
/// Names the current manifest of a keyspace and has its checksum.
const POINTER: &str = "current";
/// The keyspace of the engine's own settings.
const ENGINE_KEYSPACE: u64 = 0;
/// Keyspaces of a store: the engine's own, and one for each space.
const KEYSPACES_MIN: usize = 4;

/// Refuses manifests that are damaged or missing.
pub(super) fn examine(engine: &Path, creation: Creation) -> Result<(), OpenError> {
    let complete = creation == Creation::Complete;
    let folder = engine.join(KEYSPACES);
    let keyspaces = keyspaces(&folder)?;
    if complete && keyspaces.len() < KEYSPACES_MIN {
        let what = format!("{} of {KEYSPACES_MIN} keyspaces are there", keyspaces.len());
        return Err(OpenError::damaged(&folder, what));
    }
    for (number, keyspace) in keyspaces {
        let pointer = keyspace.join(POINTER);
        match fs::read(&pointer) {
            Ok(bytes) => check(&keyspace, &pointer, &bytes)?,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::io(&pointer, "reading", error));
            }
            Err(_) if complete || number == ENGINE_KEYSPACE => {
                return Err(OpenError::damaged(&pointer, "it is missing"));
            }
            Err(_) => {}
        }
    }
    Ok(())
}

/// The folders of the keyspaces with their numbers; none before the engine has created them.
fn keyspaces(folder: &Path) -> Result<Vec<(u64, PathBuf)>, OpenError> {
    let failed = |source| OpenError::io(folder, "listing", source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut keyspaces = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            let number = number
                .ok_or_else(|| OpenError::damaged(&entry.path(), "it is no folder of the storage engine"))?;
            keyspaces.push((number, entry.path()));
        }
    }
    keyspaces.sort();
    Ok(keyspaces)
}

/// Compares a manifest with the checksum in its pointer.
fn check(keyspace: &Path, pointer: &Path, bytes: &[u8]) -> Result<(), OpenError> {
    // The manifest's number, its checksum, and the kind of the checksum, all little-endian.
    let parts = bytes.split_first_chunk::<8>().and_then(|(number, rest)| {
        let (checksum, kind) = rest.split_first_chunk::<16>()?;
        (kind == [0]).then_some((u64::from_le_bytes(*number), u128::from_le_bytes(*checksum)))
    });
    let (number, checksum) =
        parts.ok_or_else(|| OpenError::damaged(pointer, "it names no manifest of the storage engine"))?;
    let manifest = keyspace.join(format!("v{number}"));
    match fs::read(&manifest) {
        Ok(content) if xxh3_128(&content) == checksum => Ok(()),
        Ok(_) => Err(OpenError::damaged(&manifest, "its checksum is wrong")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(OpenError::damaged(&manifest, "it is missing"))
        }
        Err(error) => Err(OpenError::io(&manifest, "reading", error)),
    }
}
