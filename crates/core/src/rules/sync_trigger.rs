//! The sync trigger: the part of an update that a function sees, and the effect of its answer on the update
//! (`docs/protocol.md` section 9.2).

use std::collections::{BTreeMap, HashMap};

use crate::ids::{RecordKey, SyncCount};
use crate::model::Record;
use crate::rules::patches::{Patch, Patches};
use crate::violation::Violation;

/// A record as the function sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The stored value; `None` if there is none.
    pub old_value: Option<String>,
    /// The value after the update; `None` if the update removes the record.
    pub new_value: Option<String>,
}

/// The records in the function's answer: the value to store by key, `None` to remove the record.
pub type Wanted = BTreeMap<RecordKey, Option<String>>;

/// The update after the function's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Triggered {
    /// The patches to apply: the client's as the function left them, then the function's own.
    pub patches: Patches,
    /// The keys of patches that the function left out of its answer, which are not applied.
    pub left_out: Vec<RecordKey>,
}

/// The records that the function sees: every record of the dataset, changed or not, and those that the update
/// adds.
pub fn show(records: &[Record], patches: &Patches) -> BTreeMap<RecordKey, Shown> {
    let live = records.iter().filter_map(|record| Some((record.key.clone(), record.value.clone()?)));
    let mut shown: BTreeMap<RecordKey, Shown> = live
        .map(|(key, value)| (key, Shown { old_value: Some(value.clone()), new_value: Some(value) }))
        .collect();
    for patch in patches.iter() {
        // A removed key looks like a new one.
        let record =
            shown.entry(patch.key.clone()).or_insert_with(|| Shown { old_value: None, new_value: None });
        record.new_value.clone_from(&patch.value);
    }
    shown
}

/// Applies the function's answer to the patches. `records` are those of the dataset; the function saw the
/// ones with a value.
pub fn apply(records: &[Record], patches: &Patches, mut wanted: Wanted) -> Result<Triggered, Violation> {
    let mut left_out = Vec::new();
    let mut result = Vec::new();
    for patch in patches.iter() {
        match wanted.remove(&patch.key) {
            Some(value) => result.push(Patch { value, ..patch.clone() }),
            None => left_out.push(patch.key.clone()),
        }
    }
    let stored: HashMap<&RecordKey, &Record> = records.iter().map(|record| (&record.key, record)).collect();
    for (key, value) in wanted {
        let record = stored.get(&key);
        let is_as_it_was = record.and_then(|record| record.value.as_ref()) == value.as_ref();
        if !is_as_it_was {
            let sync_count = record.map_or(SyncCount::ZERO, |record| record.sync_count);
            result.push(Patch { key, value, sync_count, device_modified: None });
        }
    }
    Ok(Triggered { patches: Patches::new(result)?, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Writer;
    use crate::time::UnixMillis;

    fn key(text: &str) -> RecordKey {
        RecordKey::from_stored(text)
    }

    fn record(name: &str, value: Option<&str>, count: u64) -> Record {
        Record {
            key: key(name),
            value: value.map(str::to_owned),
            sync_count: SyncCount(count),
            modified: UnixMillis(1),
            modified_by: Writer::from("d"),
            device_modified: UnixMillis(1),
        }
    }

    fn patch(name: &str, value: Option<&str>, count: u64) -> Patch {
        let device_modified = Some(UnixMillis(2));
        Patch {
            key: key(name),
            value: value.map(str::to_owned),
            sync_count: SyncCount(count),
            device_modified,
        }
    }

    fn stored() -> Vec<Record> {
        vec![record("a", Some("1"), 3), record("b", Some("2"), 4), record("gone", None, 5)]
    }

    fn wanted(entries: &[(&str, Option<&str>)]) -> Wanted {
        entries.iter().map(|(name, value)| (key(name), value.map(str::to_owned))).collect()
    }

    fn applied(update: Vec<Patch>, answer: &[(&str, Option<&str>)]) -> Vec<Patch> {
        let triggered = apply(&stored(), &Patches::new(update).unwrap(), wanted(answer)).unwrap();
        triggered.patches.iter().cloned().collect()
    }

    #[test]
    fn every_live_record_is_shown_with_its_old_and_new_value() {
        let update = vec![patch("a", Some("9"), 3), patch("b", None, 4), patch("gone", Some("back"), 5)];
        let shown = show(&stored(), &Patches::new(update).unwrap());
        let values = |old: Option<&str>, new: Option<&str>| Shown {
            old_value: old.map(str::to_owned),
            new_value: new.map(str::to_owned),
        };
        assert_eq!(shown[&key("a")], values(Some("1"), Some("9")));
        assert_eq!(shown[&key("b")], values(Some("2"), None));
        assert_eq!(shown[&key("gone")], values(None, Some("back")), "a re-added key is shown as a new one");
        let untouched = show(&stored(), &Patches::default());
        assert_eq!(untouched[&key("a")], values(Some("1"), Some("1")));
        assert!(!untouched.contains_key(&key("gone")), "a removed record is no record");
    }

    #[test]
    fn an_unchanged_answer_leaves_the_update_as_it_was() {
        let update = vec![patch("a", Some("9"), 3)];
        assert_eq!(applied(update.clone(), &[("a", Some("9")), ("b", Some("2"))]), update);
    }

    #[test]
    fn the_function_may_change_add_and_remove_what_the_client_did_not_touch() {
        let update = vec![patch("a", Some("9"), 3)];
        let answer = [("a", Some("10")), ("b", None), ("new", Some("n")), ("gone", Some("g")), ("no", None)];
        let result = applied(update, &answer);
        let own =
            |name, value: Option<&str>, count| Patch { device_modified: None, ..patch(name, value, count) };
        assert_eq!(
            result,
            [
                patch("a", Some("10"), 3),
                own("b", None, 4),
                own("gone", Some("g"), 5),
                own("new", Some("n"), 0)
            ]
        );
    }

    #[test]
    fn what_the_function_leaves_out_is_not_applied() {
        let patches = Patches::new(vec![patch("a", Some("9"), 3), patch("b", None, 4)]).unwrap();
        let triggered = apply(&stored(), &patches, wanted(&[("a", Some("9"))])).unwrap();
        assert_eq!(triggered.left_out, [key("b")]);
        assert_eq!(triggered.patches.iter().count(), 1);
    }
}
