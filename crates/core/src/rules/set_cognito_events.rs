//! SetCognitoEvents: sets the functions that events call (`docs/protocol.md` section 9.2).

use std::collections::BTreeMap;

use crate::violation::{Constraint, Violation};

/// The name of the only event.
pub const SYNC_TRIGGER: &str = "SyncTrigger";
/// The longest name or ARN of a function, in characters.
const FUNCTION_CHARS_MAX: usize = 2048;

/// Merges `changes` into `events`. A named event is set, or removed if its function is the empty string;
/// others stay.
pub fn apply(
    events: &mut BTreeMap<String, String>,
    changes: &BTreeMap<String, String>,
) -> Result<(), Violation> {
    for (event, function) in changes {
        if event != SYNC_TRIGGER {
            return Err(Violation::new("events", event, Constraint::Enum(&[SYNC_TRIGGER])));
        }
        if function.chars().count() > FUNCTION_CHARS_MAX {
            let constraint = Constraint::LengthMax(FUNCTION_CHARS_MAX as u64);
            return Err(Violation::new("events.SyncTrigger", function, constraint));
        }
        if function.is_empty() {
            events.remove(event);
        } else {
            events.insert(event.clone(), function.clone());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn an_event_is_set_kept_and_removed_by_the_empty_string() {
        let mut events = BTreeMap::new();
        apply(&mut events, &map(&[("SyncTrigger", "arn")])).unwrap();
        assert_eq!(events, map(&[("SyncTrigger", "arn")]));
        apply(&mut events, &BTreeMap::new()).unwrap();
        assert_eq!(events, map(&[("SyncTrigger", "arn")]));
        apply(&mut events, &map(&[("SyncTrigger", "")])).unwrap();
        assert!(events.is_empty());
    }

    #[test]
    fn another_event_is_refused_and_changes_nothing() {
        let mut events = map(&[("SyncTrigger", "arn")]);
        assert!(apply(&mut events, &map(&[("Other", "arn")])).is_err());
        assert_eq!(events, map(&[("SyncTrigger", "arn")]));
    }
}
