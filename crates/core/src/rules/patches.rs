//! The patches of one UpdateRecords (`docs/protocol.md` section 6.1).

use std::collections::HashSet;

use crate::ids::{RecordKey, SyncCount};
use crate::limits::PATCHES_PER_UPDATE_MAX;
use crate::time::UnixMillis;
use crate::violation::{Constraint, Violation};

/// A change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The record's key.
    pub key: RecordKey,
    /// The new value; `None` removes the record.
    pub value: Option<String>,
    /// The count at which the client saw the record: the record's own or the dataset's; zero for an absent
    /// record.
    pub sync_count: SyncCount,
    /// The device's time of the change, if the client sent one.
    pub device_modified: Option<UnixMillis>,
}

/// The patches of one request: a bounded number, without a repeated key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patches(Vec<Patch>);

impl Patches {
    /// Accepts `patches` if there are at most [`PATCHES_PER_UPDATE_MAX`], each with a different key.
    pub fn new(patches: Vec<Patch>) -> Result<Self, Violation> {
        if patches.len() > PATCHES_PER_UPDATE_MAX {
            let constraint = Constraint::LengthMax(PATCHES_PER_UPDATE_MAX as u64);
            return Err(Violation::new("recordPatches", format!("{} patches", patches.len()), constraint));
        }
        let mut seen = HashSet::with_capacity(patches.len());
        for (index, patch) in patches.iter().enumerate() {
            if !seen.insert(&patch.key) {
                return Err(Violation::new(
                    format!("recordPatches.{}.member.key", index + 1),
                    patch.key.shown(),
                    Constraint::Other("Member must not repeat the key of another patch".to_owned()),
                ));
            }
        }
        Ok(Self(patches))
    }

    /// The patches, in their order.
    pub fn as_slice(&self) -> &[Patch] {
        &self.0
    }

    /// The patches, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Patch> {
        self.0.iter()
    }

    /// The keys in the order of the patches, which are loaded before deciding.
    pub fn keys(&self) -> Vec<RecordKey> {
        self.0.iter().map(|patch| patch.key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(key: &str, value: Option<&str>) -> Patch {
        Patch {
            key: RecordKey::from_stored(key),
            value: value.map(str::to_owned),
            sync_count: SyncCount::ZERO,
            device_modified: None,
        }
    }

    #[test]
    fn a_repeated_key_is_a_violation_that_names_it() {
        let twice = Patches::new(vec![patch("k", None), patch("k", Some("v"))]).unwrap_err();
        assert_eq!(twice.member, "recordPatches.2.member.key");
        assert_eq!(twice.value.as_deref(), Some("k"));
    }
}
