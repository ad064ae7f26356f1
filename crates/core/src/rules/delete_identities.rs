//! DeleteIdentities, for one identity: its data is removed at once, and once more after the last of its
//! credentials have expired (`docs/protocol.md` section 10.5).

use crate::changes::{Changes, Expect, UsageDelta, Write};
use crate::ids::IdentityId;
use crate::limits::{CREDENTIALS_SECONDS_MAX, IDENTITIES_PER_DELETION_MAX};
use crate::model::{DatasetRef, Holdings, Identity, IdentityRef, Sweep};
use crate::rules::effects::{Effects, Happened};
use crate::rules::pool_stands;
use crate::store::OwnerView;
use crate::time::UnixMillis;
use crate::violation::{Constraint, Violation};

/// The identities that a request names: at least one, and at most the limit.
pub fn named(ids: &[String]) -> Result<Vec<IdentityId>, Violation> {
    let refuse = |constraint| Violation::new("identityIdsToDelete", format!("{} ids", ids.len()), constraint);
    if ids.is_empty() {
        return Err(refuse(Constraint::LengthMin(1)));
    }
    if ids.len() > IDENTITIES_PER_DELETION_MAX {
        return Err(refuse(Constraint::LengthMax(IDENTITIES_PER_DELETION_MAX as u64)));
    }
    ids.iter().map(|id| IdentityId::parse(id)).collect()
}

/// The commit that removes the identity at `at` and its data.
pub fn decide(view: &OwnerView, now: UnixMillis, at: &IdentityRef, effects: &Effects) -> Changes {
    let mut changes = clear(view, now, at, effects);
    changes.write.push(Write::RemoveIdentity(at.clone()));
    // Issued credentials can still write. Counts must not fall for them, and their data is swept later.
    changes.write.push(Write::PutHoldings(at.clone(), cleared(view, now)));
    changes.write.push(Write::PutSweep(Sweep {
        owner: at.clone(),
        not_before: now.plus_seconds(CREDENTIALS_SECONDS_MAX),
    }));
    changes
}

/// The commit that removes the data written after the identity was deleted. If there was any, the floor stays: an
/// open session may write again, and no count may fall for it. Otherwise nothing of the identity remains. `present` is
/// the identity that has this id now. If the pool has issued it again, its data is wanted and stays.
pub fn sweep(
    view: &OwnerView,
    present: Option<&Identity>,
    now: UnixMillis,
    sweep: &Sweep,
    effects: &Effects,
) -> Changes {
    let owner = &sweep.owner;
    if present.is_some_and(|identity| identity.at == *owner) {
        let expect = vec![Expect::Identity(owner.clone())];
        return Changes { expect, write: vec![Write::RemoveSweep(sweep.clone())] };
    }
    let mut changes = clear(view, now, owner, effects);
    if present.is_none() {
        changes.expect.push(Expect::NoIdentity(owner.clone()));
    }
    changes.write.push(if view.heads.is_empty() {
        Write::RemoveHoldings(sweep.owner.clone())
    } else {
        Write::PutHoldings(sweep.owner.clone(), cleared(view, now))
    });
    changes.write.push(Write::RemoveSweep(sweep.clone()));
    changes
}

/// The holdings of an identity without data. Clearing takes the next count of each dataset, as the deletion
/// of a single dataset does, so that devices notice it, and is dated like one.
fn cleared(view: &OwnerView, now: UnixMillis) -> Holdings {
    let floor = view.heads.iter().fold(view.holdings.floor, |floor, (_, head)| {
        let (reached, deleted_on) = match &head.life {
            Some(_) => (head.sync_count.next(), head.date_of_change(now)),
            None => (head.sync_count, head.deleted_on),
        };
        floor.raised(reached, head.generation.next(), deleted_on)
    });
    Holdings { version: view.holdings.version.next(), datasets: 0, deleted_names: 0, floor }
}

/// The changes that delete every dataset. The stream receives an event for each; the identity's devices are
/// removed too, so `effects` are without them.
fn clear(view: &OwnerView, now: UnixMillis, at: &IdentityRef, effects: &Effects) -> Changes {
    let mut changes = Changes {
        expect: vec![pool_stands(at), Expect::Holdings(at.clone(), view.holdings.version)],
        write: Vec::new(),
    };
    let (mut datasets, mut data_bytes) = (0, 0);
    for (name, head) in &view.heads {
        let dataset = DatasetRef { owner: at.clone(), name: name.clone() };
        if let Some(life) = &head.life {
            datasets += 1;
            data_bytes += life.data_bytes;
            changes.expect.push(Expect::Dataset(dataset.clone(), Some(crate::changes::Stamp::of(head))));
            changes.write.push(Write::ForgetRecords(dataset.clone(), head.generation));
            let deleted_at = head.sync_count.next();
            effects.announce(&mut changes, &dataset, deleted_at, now, Happened::Deleted, None);
        }
        changes.write.push(Write::RemoveHead(dataset));
    }
    changes.write.push(Write::RemoveDevices(at.clone()));
    if datasets > 0 {
        let usage =
            UsageDelta { data_bytes: -data_bytes.cast_signed(), sync_sessions: 0, modified: Some(now) };
        changes.write.push(Write::AddUsage(at.pool.clone(), usage));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{
        DatasetName, Generation, IdentityEpoch, IdentityId, PoolId, PoolIncarnation, SyncCount, Version,
    };
    use crate::model::{Floor, Head, Life, PoolRef, UsedSessions, Writer};
    use crate::rules::samples;

    fn at() -> IdentityRef {
        IdentityRef {
            pool: PoolRef { id: PoolId::parse("us-east-1:0").unwrap(), incarnation: PoolIncarnation(1) },
            identity: IdentityId::parse("us-east-1:1").unwrap(),
        }
    }

    fn view() -> OwnerView {
        let life = Life {
            created: UnixMillis(1),
            modified: UnixMillis(1),
            modified_by: Writer::from("d"),
            records: 1,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: 10,
        };
        let head = |generation, count, deleted_on, life| Head {
            generation: Generation(generation),
            sync_count: SyncCount(count),
            deleted_at: SyncCount(0),
            deleted_on: UnixMillis(deleted_on),
            used_sessions: UsedSessions::default(),
            life,
        };
        OwnerView {
            heads: vec![
                (DatasetName::parse("alive").unwrap(), head(0, 12, 0, Some(life))),
                (DatasetName::parse("gone").unwrap(), head(3, 4, 5, None)),
            ],
            holdings: Holdings { version: Version(1), datasets: 1, deleted_names: 1, ..Holdings::default() },
        }
    }

    #[test]
    fn a_request_names_from_one_to_sixty_identities() {
        let ids = |count| vec!["us-east-1:1".to_owned(); count];
        assert_eq!(named(&ids(1)), Ok(vec![IdentityId::parse("us-east-1:1").unwrap()]));
        assert_eq!(named(&ids(60)).map(|ids| ids.len()), Ok(60));
        assert_eq!(named(&ids(0)).unwrap_err().constraint, Constraint::LengthMin(1));
        assert_eq!(named(&ids(61)).unwrap_err().constraint, Constraint::LengthMax(60));
        assert!(named(&["nowhere".to_owned()]).is_err());
    }

    #[test]
    fn data_goes_at_once_and_counts_do_not_fall_for_those_who_still_write() {
        let changes = decide(&view(), UnixMillis(0), &at(), &samples::no_effects());
        let removed = changes.write.iter().filter(|write| matches!(write, Write::RemoveHead(_))).count();
        assert_eq!(removed, 2);
        let floor = Floor { sync_count: SyncCount(13), generation: Generation(4), deleted_on: UnixMillis(5) };
        let holdings = Holdings { version: Version(2), datasets: 0, deleted_names: 0, floor };
        assert!(changes.write.contains(&Write::PutHoldings(at(), holdings)));
        assert!(changes.write.contains(&Write::RemoveIdentity(at())));
    }

    #[test]
    fn the_floor_of_a_deleted_identity_is_dated_no_earlier_than_any_of_its_names() {
        for (modified, now, deleted_on) in [(1, 3, 5), (1, 8, 8), (7, 3, 7)] {
            let mut view = view();
            view.heads[0].1.life.as_mut().unwrap().modified = UnixMillis(modified);
            assert_eq!(cleared(&view, UnixMillis(now)).floor.deleted_on, UnixMillis(deleted_on));
        }
    }

    #[test]
    fn a_dataset_of_nothing_but_removed_records_counts_as_changed_when_it_goes() {
        let mut view = view();
        for life in view.heads.iter_mut().filter_map(|(_, head)| head.life.as_mut()) {
            life.data_bytes = 0;
        }
        let usage = UsageDelta { data_bytes: 0, sync_sessions: 0, modified: Some(UnixMillis(3)) };
        let changes = decide(&view, UnixMillis(3), &at(), &samples::no_effects());
        assert!(changes.write.contains(&Write::AddUsage(at().pool, usage)));
    }

    #[test]
    fn a_session_that_outlives_the_sweep_cannot_apply_a_call_twice() {
        let due = Sweep { owner: at(), not_before: UnixMillis(5) };
        let changes = sweep(&view(), None, UnixMillis(9), &due, &samples::no_effects());
        assert!(changes.write.contains(&Write::RemoveSweep(due)));
        let floor = Floor { sync_count: SyncCount(13), generation: Generation(4), deleted_on: UnixMillis(9) };
        let holdings = Holdings { version: Version(2), datasets: 0, deleted_names: 0, floor };
        assert!(changes.write.contains(&Write::PutHoldings(at(), holdings)), "counts go on above the floor");
    }

    #[test]
    fn data_of_an_identity_that_was_put_again_is_not_swept() {
        let due = Sweep { owner: at(), not_before: UnixMillis(5) };
        let identity = |at| Identity {
            at,
            epoch: IdentityEpoch::default(),
            created: UnixMillis(7),
            modified: UnixMillis(7),
        };
        let swept = |present: Option<Identity>| {
            sweep(&view(), present.as_ref(), UnixMillis(9), &due, &samples::no_effects())
        };
        let kept = swept(Some(identity(at())));
        assert_eq!(kept.expect, [Expect::Identity(at())]);
        assert_eq!(kept.write, [Write::RemoveSweep(due.clone())]);
        // One that is put while this is decided has to be noticed.
        assert!(swept(None).expect.contains(&Expect::NoIdentity(at())));
        let other = PoolRef { incarnation: PoolIncarnation(2), ..at().pool };
        let elsewhere = swept(Some(identity(IdentityRef { pool: other, ..at() })));
        assert_eq!(elsewhere.write, swept(None).write, "the id belongs to another pool now");
    }

    #[test]
    fn nothing_stays_of_an_identity_that_wrote_nothing_since_its_deletion() {
        let due = Sweep { owner: at(), not_before: UnixMillis(5) };
        let empty = OwnerView { heads: Vec::new(), ..view() };
        let changes = sweep(&empty, None, UnixMillis(9), &due, &samples::no_effects());
        assert!(changes.write.contains(&Write::RemoveHoldings(at())));
        assert!(!changes.write.iter().any(|write| matches!(write, Write::PutHoldings(..))));
    }
}
