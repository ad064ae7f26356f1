//! DeleteDataset: ends a dataset's life, and keeps its counts and its last date (`docs/protocol.md` sections
//! 7.8 and 7.10).

use crate::changes::{Changes, Expect, NamedHead, Stamp, UsageDelta, Write};
use crate::limits::DELETED_NAMES_PER_IDENTITY_MAX;
use crate::model::{DatasetRef, Head, Holdings, Life, UsedSessions};
use crate::refusal::Refusal;
use crate::rules::effects::{Effects, Happened};
use crate::rules::{damaged_holdings, pool_stands};
use crate::store::OwnerView;
use crate::time::UnixMillis;

/// The outcome of a deletion that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The holdings of the identity disagree with its heads; the text names the identity.
    Damaged(String),
    /// Commit the changes, then answer with the dataset as it was.
    Apply {
        /// The commit.
        changes: Changes,
        /// The dataset before the deletion.
        was: Life,
    },
}

/// Decides the deletion of the dataset at `at`, given all heads of its owner.
pub fn decide(
    view: &OwnerView,
    now: UnixMillis,
    at: &DatasetRef,
    effects: &Effects,
) -> Result<Decision, Refusal> {
    let not_found = || Refusal::DatasetNotFound(at.name.clone());
    let (_, head) = view.heads.iter().find(|(name, _)| *name == at.name).ok_or_else(not_found)?;
    let was = head.life.clone().ok_or_else(not_found)?;
    let Some(mut holdings) = without_one(&view.holdings) else {
        return Ok(Decision::Damaged(damaged_holdings(&at.owner)));
    };

    let deleted_at = head.sync_count.next();
    let deleted_on = head.date_of_change(now);
    let marker = Head {
        generation: head.generation.next(),
        sync_count: deleted_at,
        deleted_at,
        deleted_on,
        // The generation alone refuses sessions of an ended life.
        used_sessions: UsedSessions::default(),
        life: None,
    };
    let usage = UsageDelta {
        data_bytes: -was.data_bytes.cast_signed(),
        sync_sessions: 0,
        modified: Some(deleted_on),
    };
    let mut changes = Changes {
        expect: vec![
            pool_stands(&at.owner),
            Expect::Dataset(at.clone(), Some(Stamp::of(head))),
            Expect::Holdings(at.owner.clone(), view.holdings.version),
        ],
        write: vec![
            Write::PutHead(at.clone(), marker),
            Write::ForgetRecords(at.clone(), head.generation),
            Write::AddUsage(at.owner.pool.clone(), usage),
        ],
    };
    if let Some((name, dropped)) = name_to_drop(view, &holdings) {
        // Above the limit, so not zero.
        holdings.deleted_names -= 1;
        holdings.floor = holdings.floor.raised(dropped.sync_count, dropped.generation, dropped.deleted_on);
        changes.write.push(Write::RemoveHead(DatasetRef { owner: at.owner.clone(), name: name.clone() }));
    }
    changes.write.push(Write::PutHoldings(at.owner.clone(), holdings));
    effects.announce(&mut changes, at, deleted_at, now, Happened::Deleted, None);
    Ok(Decision::Apply { changes, was })
}

/// The holdings after one dataset became a deleted name; `None` if they count no dataset.
fn without_one(holdings: &Holdings) -> Option<Holdings> {
    Some(Holdings {
        version: holdings.version.next(),
        datasets: holdings.datasets.checked_sub(1)?,
        deleted_names: holdings.deleted_names.checked_add(1)?,
        ..*holdings
    })
}

/// The deleted name whose head is dropped when too many are kept: the one with the lowest count, because it
/// raises the floor least.
fn name_to_drop<'a>(view: &'a OwnerView, holdings: &Holdings) -> Option<&'a NamedHead> {
    if holdings.deleted_names <= DELETED_NAMES_PER_IDENTITY_MAX {
        return None;
    }
    view.heads.iter().filter(|(_, head)| head.life.is_none()).min_by_key(|(_, head)| head.sync_count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, SyncCount, Version};
    use crate::model::{Floor, IdentityRef, PoolRef, Writer};
    use crate::rules::samples;

    fn at(name: &str) -> DatasetRef {
        DatasetRef {
            owner: IdentityRef {
                pool: PoolRef { id: PoolId::parse("us-east-1:0").unwrap(), incarnation: PoolIncarnation(1) },
                identity: IdentityId::parse("us-east-1:1").unwrap(),
            },
            name: DatasetName::parse(name).unwrap(),
        }
    }

    fn head(generation: u64, count: u64, alive: bool) -> Head {
        Head {
            generation: Generation(generation),
            sync_count: SyncCount(count),
            deleted_at: SyncCount(0),
            deleted_on: UnixMillis(if alive { 0 } else { 3 }),
            used_sessions: UsedSessions::default(),
            life: alive.then(|| Life {
                created: UnixMillis(1),
                modified: UnixMillis(2),
                modified_by: Writer::from("d"),
                records: 3,
                tombstones: 1,
                tombstone_key_bytes: Some(1),
                tombstones_forgotten_through: SyncCount::ZERO,
                data_bytes: 30,
            }),
        }
    }

    fn view(heads: Vec<(&str, Head)>) -> OwnerView {
        let alive = heads.iter().filter(|(_, head)| head.life.is_some()).count();
        let holdings = Holdings {
            version: Version(4),
            datasets: u32::try_from(alive).unwrap(),
            deleted_names: u32::try_from(heads.len() - alive).unwrap(),
            floor: Floor::default(),
        };
        let heads = heads.into_iter().map(|(name, head)| (DatasetName::parse(name).unwrap(), head)).collect();
        OwnerView { heads, holdings }
    }

    fn applied(view: &OwnerView, name: &str) -> (Changes, Life) {
        match decide(view, UnixMillis(9), &at(name), &samples::no_effects()).unwrap() {
            Decision::Apply { changes, was } => (changes, was),
            Decision::Damaged(what) => panic!("{what}"),
        }
    }

    #[test]
    fn deletion_takes_the_next_count_and_raises_the_generation() {
        let (changes, was) = applied(&view(vec![("a", head(2, 7, true))]), "a");
        assert_eq!(was.data_bytes, 30);
        let Write::PutHead(_, marker) = &changes.write[0] else { panic!("no head is put") };
        assert_eq!(
            (marker.generation, marker.sync_count, marker.deleted_at),
            (Generation(3), SyncCount(8), SyncCount(8))
        );
        assert!(changes.write.contains(&Write::ForgetRecords(at("a"), Generation(2))));
        let usage = changes.write.iter().find_map(|write| match write {
            Write::AddUsage(_, delta) => Some(delta.data_bytes),
            _ => None,
        });
        assert_eq!(usage, Some(-30));
    }

    #[test]
    fn holdings_that_count_fewer_datasets_than_there_are_is_damage_that_names_the_identity() {
        let mut view = view(vec![("a", head(2, 7, true))]);
        view.holdings.datasets = 0;
        let decision = decide(&view, UnixMillis(9), &at("a"), &samples::no_effects());
        let Ok(Decision::Damaged(what)) = decision else { panic!("{decision:?}") };
        assert_eq!(what, "the holdings of identity 'us-east-1:1' count less than its heads");
    }

    #[test]
    fn a_deletion_under_an_earlier_clock_is_dated_no_earlier_than_the_last_update() {
        for (modified, deleted_on) in [(2, 9), (12, 12)] {
            let mut before = head(2, 7, true);
            before.life.as_mut().unwrap().modified = UnixMillis(modified);
            let (changes, _) = applied(&view(vec![("a", before)]), "a");
            let Write::PutHead(_, marker) = &changes.write[0] else { panic!("no head is put") };
            assert_eq!(marker.deleted_on, UnixMillis(deleted_on));
        }
    }

    #[test]
    fn what_does_not_exist_is_not_found() {
        let view = view(vec![("gone", head(1, 3, false))]);
        for name in ["gone", "never"] {
            let refused = decide(&view, UnixMillis(9), &at(name), &samples::no_effects()).unwrap_err();
            assert_eq!(refused, Refusal::DatasetNotFound(at(name).name));
        }
    }

    #[test]
    fn one_deleted_name_too_many_raises_the_floor_by_the_lowest() {
        let names: Vec<String> = (0..DELETED_NAMES_PER_IDENTITY_MAX).map(|n| format!("d{n:03}")).collect();
        let mut heads: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(n, name)| (name.as_str(), head(1, 100 + n as u64, false)))
            .collect();
        heads.push(("z", head(0, 5, true)));
        let (changes, _) = applied(&view(heads), "z");
        assert!(changes.write.contains(&Write::RemoveHead(at("d000"))));
        let holdings = changes.write.iter().find_map(|write| match write {
            Write::PutHoldings(_, holdings) => Some(*holdings),
            _ => None,
        });
        let holdings = holdings.unwrap();
        assert_eq!(holdings.deleted_names, DELETED_NAMES_PER_IDENTITY_MAX);
        let floor =
            Floor { sync_count: SyncCount(100), generation: Generation(1), deleted_on: UnixMillis(3) };
        assert_eq!(holdings.floor, floor);
        assert_eq!((holdings.datasets, holdings.version), (0, Version(5)));
    }
}
