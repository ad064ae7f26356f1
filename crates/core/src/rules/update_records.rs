//! UpdateRecords: applies a set of patches atomically. Every patch must name a count from its record's own up
//! to the dataset's (`docs/protocol.md` sections 7.5 and 7.6).

use crate::changes::{Changes, Expect, PutRecord, Stamp, UsageDelta, Write};
use crate::cursor::Session;
use crate::ids::{DeviceId, SyncCount};
use crate::limits::Limits;
use crate::model::{DatasetRef, Head, Holdings, Life, Record, RecordStub, Writer};
use crate::refusal::{LimitKind, Refusal, TokenTrouble};
use crate::rules::effects::{Effects, Happened};
use crate::rules::forget_tombstones::{self, Outcome, Tombstones};
use crate::rules::patches::{Patch, Patches};
use crate::rules::{damaged_holdings, pool_stands};
use crate::store::DatasetView;
use crate::time::UnixMillis;
use crate::tombstone::{OldestTombstones, Tombstone};

/// A request whose members satisfy their constraints.
#[derive(Clone, Debug)]
pub struct UpdateRecords {
    /// The dataset to change, which need not exist.
    pub at: DatasetRef,
    /// The session of the opened token.
    pub session: Session,
    /// The patches.
    pub patches: Patches,
    /// The writer to whom the change is attributed.
    pub writer: Writer,
    /// The device that the client claims to be.
    pub device: Option<DeviceId>,
}

/// The outcome of an update that is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There are no patches: answer success, change nothing, use nothing up.
    Nothing,
    /// Load these tombstones of the dataset, then call [`decide_with_tombstones`].
    Load(OldestTombstones),
    /// The dataset's head disagrees with its records, or the holdings of its identity with its heads; the text
    /// names the dataset or the identity.
    Damaged(String),
    /// Commit the changes, then answer with the records.
    Apply {
        /// The commit.
        changes: Changes,
        /// The patched records after the commit, in the order of the patches.
        records: Vec<Record>,
        /// The tombstones that the commit forgets.
        forgotten: Forgotten,
    },
}

/// The tombstones that an update forgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// The number of them, including removals of the update itself that leave none.
    pub count: u64,
    /// True if this life of the dataset forgets tombstones for the first time.
    pub is_first: bool,
}

/// Decides `request` given the data loaded for [`Patches::keys`].
pub fn decide(
    view: &DatasetView,
    now: UnixMillis,
    request: &UpdateRecords,
    limits: &Limits,
    effects: &Effects,
) -> Result<Decision, Refusal> {
    decide_with(view, None, now, request, limits, effects)
}

/// Decides like [`decide`], with the tombstones that it requested.
pub fn decide_with_tombstones(
    view: &DatasetView,
    oldest: &[Tombstone],
    now: UnixMillis,
    request: &UpdateRecords,
    limits: &Limits,
    effects: &Effects,
) -> Result<Decision, Refusal> {
    decide_with(view, Some(oldest), now, request, limits, effects)
}

fn decide_with(
    view: &DatasetView,
    oldest: Option<&[Tombstone]>,
    now: UnixMillis,
    request: &UpdateRecords,
    limits: &Limits,
    effects: &Effects,
) -> Result<Decision, Refusal> {
    check(view, now, request)?;
    if request.patches.as_slice().is_empty() {
        return Ok(Decision::Nothing);
    }
    let head = effective_head(view);
    let damaged = || {
        let DatasetRef { owner, name } = &request.at;
        Decision::Damaged(format!(
            "the head of dataset '{name}' of identity '{}' counts less than its records",
            owner.identity
        ))
    };
    let Some(sizes) = Sizes::after(&head, request.patches.as_slice(), &view.stubs) else {
        return Ok(damaged());
    };
    check_limits(&head, &view.holdings, &sizes, limits)?;
    let (life, patches) = (head.life.as_ref(), request.patches.as_slice());
    let sync_count = head.sync_count.next();
    match forget_tombstones::decide(life, patches, &view.stubs, sync_count, oldest, limits) {
        Outcome::Known(tombstones) => Ok(apply(view, &head, now, request, &sizes, tombstones, effects)
            .unwrap_or_else(|| Decision::Damaged(damaged_holdings(&request.at.owner)))),
        Outcome::Load(oldest) => Ok(Decision::Load(oldest)),
        Outcome::Damaged => Ok(damaged()),
    }
}

/// Checks session and counts, which does not need the new values.
pub fn check(view: &DatasetView, now: UnixMillis, request: &UpdateRecords) -> Result<(), Refusal> {
    let head = effective_head(view);
    let session = &request.session;
    if !session.is_for(&request.at) {
        return Err(Refusal::SessionToken(TokenTrouble::Foreign));
    }
    if session.expires <= now {
        return Err(Refusal::SessionToken(TokenTrouble::Expired));
    }
    if session.generation != head.generation {
        return Err(Refusal::DatasetDeleted(request.at.name.clone()));
    }
    for (patch, stub) in request.patches.iter().zip(&view.stubs) {
        check_count(&head, session, patch, stub.as_ref())?;
    }
    if head.used_sessions.contains(session.id) {
        return Err(Refusal::SessionToken(TokenTrouble::UsedUp));
    }
    Ok(())
}

fn effective_head(view: &DatasetView) -> Head {
    view.head.clone().unwrap_or_else(|| view.holdings.floor.head())
}

/// Checks the compare rule (section 7.6): a patch may name any count from the record's own up to the
/// dataset's, because the client has then seen the record's latest version. An applied call raises the
/// record's count above the named one, so a repetition is refused.
fn check_count(
    head: &Head,
    session: &Session,
    patch: &Patch,
    stub: Option<&RecordStub>,
) -> Result<(), Refusal> {
    // A key that this life of the dataset never had counts as zero: after a deletion the iOS manager patches
    // new keys with the count that the listing reported.
    let server = stub.map_or(SyncCount::ZERO, |stub| stub.sync_count);
    // An absent key may have had a tombstone that the session did not see before it was forgotten. Otherwise
    // a call that was applied before then would be applied once more.
    let forgotten = head.life.as_ref().map_or(SyncCount::ZERO, |life| life.tombstones_forgotten_through);
    let is_unseen = stub.is_none() && session.seen < forgotten;
    if (server..=head.sync_count).contains(&patch.sync_count) && !is_unseen {
        return Ok(());
    }
    let server = if is_unseen { forgotten } else { server };
    Err(Refusal::StaleRecord { key: patch.key.clone(), server, client: patch.sync_count })
}

/// The totals of the dataset's records before and after the patches.
struct Sizes {
    records: (u32, u32),
    data_bytes: (u64, u64),
}

impl Sizes {
    /// `None` if the head counts less than the records that the patches replace.
    fn after(head: &Head, patches: &[Patch], stubs: &[Option<RecordStub>]) -> Option<Self> {
        let before = head.life.as_ref().map_or((0, 0), |life| (life.records, life.data_bytes));
        let (mut records, mut data_bytes) = before;
        for (patch, stub) in patches.iter().zip(stubs) {
            if let Some(stub) = stub.filter(|stub| !stub.removed) {
                records = records.checked_sub(1)?;
                data_bytes = data_bytes.checked_sub(stub.data_bytes)?;
            }
            if let Some(value) = &patch.value {
                records = records.checked_add(1)?;
                data_bytes = data_bytes.checked_add((patch.key.as_str().len() + value.len()) as u64)?;
            }
        }
        Some(Self { records: (before.0, records), data_bytes: (before.1, data_bytes) })
    }

    fn data_bytes_added(&self) -> i64 {
        self.data_bytes.1.cast_signed() - self.data_bytes.0.cast_signed()
    }
}

/// Checks the limits. A request that shrinks a value above its limit is accepted, because lowering a limit
/// must not lock data in.
fn check_limits(head: &Head, holdings: &Holdings, sizes: &Sizes, limits: &Limits) -> Result<(), Refusal> {
    let exceeded = |what, limit: u64, (before, after): (u64, u64)| {
        if after > limit && after > before {
            return Err(Refusal::Limit { what, limit, would_be: after });
        }
        Ok(())
    };
    let widened = |(before, after): (u32, u32)| (u64::from(before), u64::from(after));
    if head.life.is_none() {
        let datasets = (holdings.datasets.into(), u64::from(holdings.datasets) + 1);
        exceeded(LimitKind::DatasetsPerIdentity, limits.datasets_per_identity_max.into(), datasets)?;
    }
    exceeded(LimitKind::RecordsPerDataset, limits.records_per_dataset_max.into(), widened(sizes.records))?;
    exceeded(LimitKind::DatasetBytes, limits.dataset_bytes_max, sizes.data_bytes)
}

/// `None` if the owner's holdings count less than its heads.
fn apply(
    view: &DatasetView,
    head: &Head,
    now: UnixMillis,
    request: &UpdateRecords,
    sizes: &Sizes,
    tombstones: Tombstones,
    effects: &Effects,
) -> Option<Decision> {
    let sync_count = head.sync_count.next();
    // Events keep the present time, at which they become due.
    let date = head.date_of_change(now);
    let records = records(request, sync_count, date);
    let forgotten = Forgotten {
        count: (tombstones.forget.len() + tombstones.unmarked.len()) as u64,
        is_first: head.life.as_ref().is_none_or(|life| life.tombstones_forgotten_through == SyncCount::ZERO)
            && tombstones.forgotten_through > SyncCount::ZERO,
    };
    let head_after = head_after(head, date, request, sizes, &tombstones);
    let mut changes = writes(view, head, head_after, request, sizes, (&records, tombstones))?;
    let happened = Happened::Updated(&records);
    effects.announce(&mut changes, &request.at, sync_count, now, happened, request.device.as_ref());
    Some(Decision::Apply { changes, records, forgotten })
}

/// The patched records after the update.
fn records(request: &UpdateRecords, sync_count: SyncCount, date: UnixMillis) -> Vec<Record> {
    let record = |patch: &Patch| Record {
        key: patch.key.clone(),
        value: patch.value.clone(),
        sync_count,
        modified: date,
        modified_by: request.writer.clone(),
        device_modified: patch.device_modified.unwrap_or(date),
    };
    request.patches.iter().map(record).collect()
}

/// The head after the update, which uses up the request's session.
fn head_after(
    head: &Head,
    date: UnixMillis,
    request: &UpdateRecords,
    sizes: &Sizes,
    tombstones: &Tombstones,
) -> Head {
    let mut used_sessions = head.used_sessions.clone();
    used_sessions.push(request.session.id);
    Head {
        sync_count: head.sync_count.next(),
        deleted_on: UnixMillis(0),
        used_sessions,
        life: Some(Life {
            created: head.life.as_ref().map_or(date, |life| life.created),
            modified: date,
            modified_by: request.writer.clone(),
            records: sizes.records.1,
            tombstones: tombstones.count,
            tombstone_key_bytes: tombstones.key_bytes,
            tombstones_forgotten_through: tombstones.forgotten_through,
            data_bytes: sizes.data_bytes.1,
        }),
        ..head.clone()
    }
}

/// The changes of data; `None` if the owner's holdings count less than its heads.
fn writes(
    view: &DatasetView,
    head: &Head,
    head_after: Head,
    request: &UpdateRecords,
    sizes: &Sizes,
    (records, tombstones): (&[Record], Tombstones),
) -> Option<Changes> {
    let (at, generation) = (&request.at, head.generation);
    let modified = head_after.life.as_ref().map(|life| life.modified);
    let usage = UsageDelta { data_bytes: sizes.data_bytes_added(), sync_sessions: 0, modified };
    let mut changes = Changes {
        expect: vec![pool_stands(&at.owner), Expect::Dataset(at.clone(), view.head.as_ref().map(Stamp::of))],
        write: vec![
            Write::PutHead(at.clone(), head_after),
            Write::PutRecords { at: at.clone(), generation, records: puts(view, records, &tombstones) },
            Write::AddUsage(at.owner.pool.clone(), usage),
        ],
    };
    let removals = removals(view, records, tombstones);
    if !removals.is_empty() {
        changes.write.push(Write::RemoveRecords { at: at.clone(), generation, records: removals });
    }
    if head.life.is_none() {
        changes.expect.push(Expect::Holdings(at.owner.clone(), view.holdings.version));
        changes.write.push(Write::PutHoldings(at.owner.clone(), created_in(view)?));
    }
    Some(changes)
}

/// The records to store: all but removals that leave no tombstone.
fn puts(view: &DatasetView, records: &[Record], tombstones: &Tombstones) -> Vec<PutRecord> {
    let marked =
        records.iter().zip(&view.stubs).filter(|(record, _)| !tombstones.unmarked.contains(&record.key));
    let put = |(record, stub): (&Record, &Option<RecordStub>)| PutRecord {
        record: record.clone(),
        replaces: stub.as_ref().map(|stub| stub.sync_count),
    };
    marked.map(put).collect()
}

/// The stored rows to drop: those of forgotten tombstones, and of removed records that leave none.
fn removals(view: &DatasetView, records: &[Record], tombstones: Tombstones) -> Vec<Tombstone> {
    let unmarked = records.iter().zip(&view.stubs).filter_map(|(record, stub)| {
        let stub = stub.as_ref().filter(|_| tombstones.unmarked.contains(&record.key))?;
        Some(Tombstone { key: record.key.clone(), sync_count: stub.sync_count })
    });
    let unmarked: Vec<Tombstone> = unmarked.collect();
    tombstones.forget.into_iter().chain(unmarked).collect()
}

/// The owner's holdings after the dataset of `view` is created, whether the name is new or was deleted; `None` if
/// they do not count the deleted name.
fn created_in(view: &DatasetView) -> Option<Holdings> {
    let holdings = view.holdings;
    Some(Holdings {
        version: holdings.version.next(),
        datasets: holdings.datasets.checked_add(1)?,
        deleted_names: holdings.deleted_names.checked_sub(u32::from(view.head.is_some()))?,
        ..holdings
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{
        DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, RecordKey, SessionId, Version,
    };
    use crate::model::{Floor, IdentityRef, PoolRef, UsedSessions};
    use crate::rules::samples;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn at() -> DatasetRef {
        DatasetRef {
            owner: IdentityRef {
                pool: PoolRef { id: PoolId::parse("us-east-1:0").unwrap(), incarnation: PoolIncarnation(1) },
                identity: IdentityId::parse("us-east-1:1").unwrap(),
            },
            name: DatasetName::parse("prefs").unwrap(),
        }
    }

    fn session() -> Session {
        Session {
            pool: PoolIncarnation(1),
            identity: IdentityId::parse("us-east-1:1").unwrap(),
            dataset: DatasetName::parse("prefs").unwrap(),
            generation: Generation(0),
            seen: SyncCount(7),
            id: SessionId(5),
            expires: NOW.plus_seconds(60),
        }
    }

    fn patch(key: &str, value: Option<&str>, count: u64) -> Patch {
        Patch {
            key: RecordKey::from_stored(key),
            value: value.map(str::to_owned),
            sync_count: SyncCount(count),
            device_modified: None,
        }
    }

    fn request(patches: Vec<Patch>) -> UpdateRecords {
        UpdateRecords {
            at: at(),
            session: session(),
            patches: Patches::new(patches).unwrap(),
            writer: Writer::from("device"),
            device: None,
        }
    }

    fn head(count: u64, records: u32, data_bytes: u64) -> Head {
        Head {
            generation: Generation(0),
            sync_count: SyncCount(count),
            deleted_at: SyncCount::ZERO,
            deleted_on: UnixMillis(0),
            used_sessions: UsedSessions::default(),
            life: Some(Life {
                created: UnixMillis(1),
                modified: UnixMillis(1),
                modified_by: Writer::from("other"),
                records,
                tombstones: 0,
                tombstone_key_bytes: Some(0),
                tombstones_forgotten_through: SyncCount::ZERO,
                data_bytes,
            }),
        }
    }

    fn view(head: Option<Head>, stubs: Vec<Option<RecordStub>>) -> DatasetView {
        let datasets = u32::from(head.as_ref().is_some_and(|head| head.life.is_some()));
        DatasetView { head, holdings: Holdings { datasets, ..Holdings::default() }, stubs }
    }

    fn stub(count: u64, data_bytes: u64, removed: bool) -> RecordStub {
        RecordStub { sync_count: SyncCount(count), data_bytes, removed }
    }

    fn applied(view: &DatasetView, request: &UpdateRecords) -> (Changes, Vec<Record>) {
        match decide(view, NOW, request, &Limits::default(), &samples::no_effects()).unwrap() {
            Decision::Apply { changes, records, .. } => (changes, records),
            decision => panic!("{decision:?}"),
        }
    }

    fn new_head(changes: &Changes) -> &Head {
        changes
            .write
            .iter()
            .find_map(|write| if let Write::PutHead(_, head) = write { Some(head) } else { None })
            .unwrap()
    }

    #[test]
    fn the_first_update_creates_the_dataset_at_count_one() {
        let (changes, records) = applied(&view(None, vec![None]), &request(vec![patch("k", Some("v"), 0)]));
        assert_eq!(records[0].sync_count, SyncCount(1));
        assert_eq!(records[0].device_modified, NOW, "a missing device date is filled in");
        let head = new_head(&changes);
        assert_eq!(head.sync_count, SyncCount(1));
        assert_eq!(head.life.as_ref().unwrap().data_bytes, 2);
        assert!(head.used_sessions.contains(SessionId(5)));
        assert!(changes.expect.contains(&Expect::Dataset(at(), None)));
        assert!(changes.expect.contains(&Expect::Holdings(at().owner, Version(0))));
    }

    #[test]
    fn a_whole_update_takes_one_count_and_expects_what_it_saw() {
        let view = view(Some(head(7, 1, 3)), vec![Some(stub(4, 3, false)), None]);
        let (changes, records) =
            applied(&view, &request(vec![patch("aa", None, 4), patch("b", Some(""), 0)]));
        assert!(records.iter().all(|record| record.sync_count == SyncCount(8)));
        assert_eq!(records[0].value, None);
        let life = new_head(&changes).life.as_ref().unwrap();
        assert_eq!((life.records, life.tombstones, life.data_bytes), (1, 1, 1));
        assert_eq!(life.created, UnixMillis(1));
        let stamp = Stamp { generation: Generation(0), sync_count: SyncCount(7) };
        assert!(changes.expect.contains(&Expect::Dataset(at(), Some(stamp))));
        assert!(!changes.expect.iter().any(|e| matches!(e, Expect::Holdings(..))));
    }

    #[test]
    fn a_stale_count_refuses_everything_and_names_both_counts() {
        let view = view(Some(head(7, 1, 3)), vec![None, Some(stub(4, 3, false))]);
        let stale = request(vec![patch("new", Some("v"), 0), patch("k", Some("v"), 3)]);
        assert_eq!(
            decide(&view, NOW, &stale, &Limits::default(), &samples::no_effects()),
            Err(Refusal::StaleRecord {
                key: RecordKey::from_stored("k"),
                server: SyncCount(4),
                client: SyncCount(3)
            })
        );
    }

    #[test]
    fn an_absent_key_may_name_a_count_that_the_dataset_has_reached_and_no_higher() {
        let view = view(Some(head(7, 0, 0)), vec![None]);
        assert!(
            decide(
                &view,
                NOW,
                &request(vec![patch("k", Some("v"), 7)]),
                &Limits::default(),
                &samples::no_effects()
            )
            .is_ok()
        );
        assert!(matches!(
            decide(
                &view,
                NOW,
                &request(vec![patch("k", Some("v"), 8)]),
                &Limits::default(),
                &samples::no_effects()
            ),
            Err(Refusal::StaleRecord { server: SyncCount::ZERO, .. })
        ));
    }

    #[test]
    fn a_count_from_the_records_own_up_to_the_datasets_is_accepted_for_records_and_tombstones() {
        for removed in [false, true] {
            let mut head = head(7, u32::from(!removed), 3);
            head.life.as_mut().unwrap().tombstones = u32::from(removed);
            head.life.as_mut().unwrap().tombstone_key_bytes = Some(u64::from(removed));
            let bytes = if removed { 0 } else { 3 };
            let view = view(Some(head), vec![Some(stub(4, bytes, removed))]);
            for count in 0..=9 {
                let request = request(vec![patch("k", Some("v"), count)]);
                let outcome = decide(&view, NOW, &request, &Limits::default(), &samples::no_effects());
                let stale = Refusal::StaleRecord {
                    key: RecordKey::from_stored("k"),
                    server: SyncCount(4),
                    client: SyncCount(count),
                };
                match count {
                    4..=7 => assert!(outcome.is_ok(), "count {count}: {outcome:?}"),
                    _ => assert_eq!(outcome, Err(stale), "count {count}"),
                }
            }
        }
    }

    #[test]
    fn a_call_that_was_applied_is_refused_also_after_the_tombstone_it_left_was_forgotten() {
        let mut forgot = head(40, 0, 0);
        forgot.life.as_mut().unwrap().tombstones_forgotten_through = SyncCount(8);
        let view = view(Some(forgot), vec![None]);
        let repeated = request(vec![patch("k", None, 0)]);
        let limits = Limits::default();
        assert_eq!(
            decide(&view, NOW, &repeated, &limits, &samples::no_effects()),
            Err(Refusal::StaleRecord {
                key: RecordKey::from_stored("k"),
                server: SyncCount(8),
                client: SyncCount(0)
            })
        );
        let mut later = repeated;
        later.session.seen = SyncCount(8);
        assert!(decide(&view, NOW, &later, &limits, &samples::no_effects()).is_ok());
    }

    #[test]
    fn the_oldest_tombstones_are_loaded_and_dropped_by_the_commit_that_makes_one_too_many() {
        let limits = Limits { tombstones_per_dataset_max: 2, ..Limits::default() };
        let mut full = head(7, 1, 3);
        let life = full.life.as_mut().unwrap();
        (life.tombstones, life.tombstone_key_bytes) = (2, Some(2));
        let view = view(Some(full), vec![Some(stub(4, 3, false))]);
        let removal = request(vec![patch("kk", None, 4)]);
        let first = decide(&view, NOW, &removal, &limits, &samples::no_effects()).unwrap();
        assert_eq!(first, Decision::Load(OldestTombstones { count: 1, key_bytes: 0 }));
        let oldest = [Tombstone { key: RecordKey::from_stored("a"), sync_count: SyncCount(2) }];
        let decision =
            decide_with_tombstones(&view, &oldest, NOW, &removal, &limits, &samples::no_effects()).unwrap();
        let Decision::Apply { changes, forgotten, .. } = decision else { panic!("{decision:?}") };
        assert_eq!(forgotten, Forgotten { count: 1, is_first: true });
        let dropped = Write::RemoveRecords { at: at(), generation: Generation(0), records: oldest.to_vec() };
        assert!(changes.write.contains(&dropped), "{changes:?}");
        let life = new_head(&changes).life.clone().unwrap();
        assert_eq!((life.tombstones, life.tombstone_key_bytes), (2, Some(3)));
        assert_eq!(life.tombstones_forgotten_through, SyncCount(2));
    }

    #[test]
    fn a_call_that_removes_more_than_is_kept_drops_the_rows_of_the_records_it_leaves_unmarked() {
        let limits = Limits { tombstones_per_dataset_max: 1, ..Limits::default() };
        let view = view(Some(head(7, 2, 4)), vec![Some(stub(4, 2, false)), Some(stub(5, 2, false))]);
        let (changes, records) = match decide(
            &view,
            NOW,
            &request(vec![patch("a", None, 4), patch("b", None, 5)]),
            &limits,
            &samples::no_effects(),
        ) {
            Ok(Decision::Apply { changes, records, .. }) => (changes, records),
            other => panic!("{other:?}"),
        };
        assert_eq!(records.len(), 2, "each patch is answered");
        let dropped = Tombstone { key: RecordKey::from_stored("a"), sync_count: SyncCount(4) };
        let removal = Write::RemoveRecords { at: at(), generation: Generation(0), records: vec![dropped] };
        assert!(changes.write.contains(&removal), "{changes:?}");
        let life = new_head(&changes).life.clone().unwrap();
        assert_eq!((life.records, life.tombstones, life.data_bytes), (0, 1, 0));
        assert_eq!(life.tombstones_forgotten_through, SyncCount(8));
    }

    #[test]
    fn a_head_that_counts_less_than_its_records_is_damage_that_names_the_dataset() {
        for (records, bytes) in [(0, 3), (1, 2)] {
            let view = view(Some(head(7, records, bytes)), vec![Some(stub(4, 3, false))]);
            let outcome = decide(
                &view,
                NOW,
                &request(vec![patch("k", Some("v"), 4)]),
                &Limits::default(),
                &samples::no_effects(),
            );
            let Ok(Decision::Damaged(what)) = outcome else { panic!("{outcome:?}") };
            assert!(what.contains("'prefs'") && what.contains("us-east-1:1"), "{what}");
        }
    }

    #[test]
    fn holdings_that_do_not_count_the_deleted_name_are_damage_that_names_the_identity() {
        let deleted = Head { life: None, ..head(7, 0, 0) };
        let mut request = request(vec![patch("k", Some("v"), 0)]);
        request.session.generation = deleted.generation;
        let view = view(Some(deleted), vec![None]);
        let outcome = decide(&view, NOW, &request, &Limits::default(), &samples::no_effects());
        let Ok(Decision::Damaged(what)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(what, "the holdings of identity 'us-east-1:1' count less than its heads");
    }

    #[test]
    fn an_update_with_an_earlier_clock_is_dated_no_earlier_than_the_last_one() {
        let mut later = head(7, 1, 3);
        later.life.as_mut().unwrap().modified = NOW.plus_seconds(4);
        let seen = view(Some(later), vec![None]);
        let (changes, records) = applied(&seen, &request(vec![patch("k", Some("v"), 0)]));
        assert_eq!(
            (records[0].modified, records[0].device_modified),
            (NOW.plus_seconds(4), NOW.plus_seconds(4))
        );
        assert_eq!(new_head(&changes).life.as_ref().unwrap().modified, NOW.plus_seconds(4));
        let (changes, records) = applied(&view(None, vec![None]), &request(vec![patch("k", Some("v"), 0)]));
        assert_eq!(new_head(&changes).life.as_ref().unwrap().created, records[0].modified);
    }

    /// The dates of the life that an update of `view` creates, which its only record has too.
    fn created_on(view: &DatasetView) -> UnixMillis {
        let (changes, records) = applied(view, &request(vec![patch("k", Some("v"), 0)]));
        let head = new_head(&changes);
        let life = head.life.as_ref().unwrap();
        assert_eq!(life.created, life.modified);
        assert_eq!((records[0].modified, records[0].device_modified), (life.created, life.created));
        assert_eq!(head.deleted_on, UnixMillis(0), "the life has dates now");
        life.created
    }

    #[test]
    fn a_dataset_recreated_under_an_earlier_clock_is_dated_no_earlier_than_its_deletion() {
        for (deleted_on, expected) in [
            (NOW.plus_seconds(4), NOW.plus_seconds(4)),
            (UnixMillis(NOW.0 - 4), NOW),
            // A version that kept no date stored the marker.
            (UnixMillis(0), NOW),
        ] {
            let mut view = view(Some(Head { deleted_on, life: None, ..head(7, 0, 0) }), vec![None]);
            view.holdings.deleted_names = 1;
            assert_eq!(created_on(&view), expected);
        }
    }

    #[test]
    fn a_name_whose_marker_was_dropped_is_dated_no_earlier_than_the_floor() {
        let mut view = view(None, vec![None]);
        view.holdings.floor =
            Floor { sync_count: SyncCount(7), deleted_on: NOW.plus_seconds(4), ..Floor::default() };
        assert_eq!(created_on(&view), NOW.plus_seconds(4));
    }

    #[test]
    fn removing_a_key_that_was_never_there_leaves_a_marker() {
        let (changes, records) = applied(&view(None, vec![None]), &request(vec![patch("k", None, 0)]));
        assert_eq!(records[0].value, None);
        let life = new_head(&changes).life.as_ref().unwrap();
        assert_eq!((life.records, life.tombstones, life.data_bytes), (0, 1, 0));
    }

    #[test]
    fn tokens_are_checked_before_counts_and_a_used_one_after_them() {
        let mut used = head(7, 1, 3);
        used.used_sessions.push(SessionId(5));
        let seen = view(Some(used), vec![Some(stub(7, 3, false))]);
        let limits = Limits::default();
        let repeated = request(vec![patch("k", Some("v"), 4)]);
        assert!(matches!(
            decide(&seen, NOW, &repeated, &limits, &samples::no_effects()),
            Err(Refusal::StaleRecord { .. })
        ));
        let fresh_counts = request(vec![patch("k", Some("v"), 7)]);
        assert_eq!(
            decide(&seen, NOW, &fresh_counts, &limits, &samples::no_effects()),
            Err(Refusal::SessionToken(TokenTrouble::UsedUp))
        );
        let mut foreign = repeated.clone();
        foreign.session.identity = IdentityId::parse("us-east-1:2").unwrap();
        assert_eq!(
            decide(&seen, NOW, &foreign, &limits, &samples::no_effects()),
            Err(Refusal::SessionToken(TokenTrouble::Foreign))
        );
        let later = NOW.plus_seconds(60);
        assert_eq!(
            decide(&seen, later, &repeated, &limits, &samples::no_effects()),
            Err(Refusal::SessionToken(TokenTrouble::Expired))
        );
    }

    #[test]
    fn a_session_from_before_the_deletion_conflicts() {
        let deleted = Head {
            generation: Generation(1),
            sync_count: SyncCount(9),
            deleted_at: SyncCount(9),
            deleted_on: UnixMillis(0),
            used_sessions: UsedSessions::default(),
            life: None,
        };
        let gone = view(Some(deleted), vec![None]);
        let old = request(vec![patch("k", Some("v"), 0)]);
        assert_eq!(
            decide(&gone, NOW, &old, &Limits::default(), &samples::no_effects()),
            Err(Refusal::DatasetDeleted(at().name))
        );
        let mut recreate = old;
        recreate.session.generation = Generation(1);
        let mut view = gone;
        view.holdings.deleted_names = 1;
        let (changes, records) = applied(&view, &recreate);
        assert_eq!(records[0].sync_count, SyncCount(10), "counts go on after a deletion");
        let holdings = changes.write.iter().find_map(|write| match write {
            Write::PutHoldings(_, holdings) => Some(*holdings),
            _ => None,
        });
        assert_eq!(holdings.map(|h| (h.datasets, h.deleted_names)), Some((1, 0)));
    }

    #[test]
    fn a_name_below_the_floor_goes_on_counting_from_it() {
        let mut view = view(None, vec![None]);
        view.holdings.floor =
            Floor { sync_count: SyncCount(40), generation: Generation(3), ..Floor::default() };
        let mut request = request(vec![patch("k", Some("v"), 0)]);
        request.session.generation = Generation(3);
        let (changes, records) = applied(&view, &request);
        assert_eq!(records[0].sync_count, SyncCount(41));
        assert_eq!(new_head(&changes).generation, Generation(3));
        assert_eq!(new_head(&changes).deleted_at, SyncCount(40));
    }

    #[test]
    fn an_empty_list_changes_nothing_and_uses_nothing_up() {
        let view = view(None, vec![]);
        assert_eq!(
            decide(&view, NOW, &request(vec![]), &Limits::default(), &samples::no_effects()),
            Ok(Decision::Nothing)
        );
    }

    #[test]
    fn limits_count_what_will_be_and_let_shrinking_through() {
        let limits = Limits { records_per_dataset_max: 1, dataset_bytes_max: 10, ..Limits::default() };
        let full = view(Some(head(1, 1, 10)), vec![None]);
        assert_eq!(
            decide(&full, NOW, &request(vec![patch("k", Some("v"), 0)]), &limits, &samples::no_effects()),
            Err(Refusal::Limit { what: LimitKind::RecordsPerDataset, limit: 1, would_be: 2 })
        );
        let over = view(Some(head(1, 1, 30)), vec![Some(stub(1, 30, false))]);
        let grow = request(vec![patch("k", Some(&"v".repeat(40)), 1)]);
        assert_eq!(
            decide(&over, NOW, &grow, &limits, &samples::no_effects()),
            Err(Refusal::Limit { what: LimitKind::DatasetBytes, limit: 10, would_be: 41 })
        );
        let shrink = request(vec![patch("k", Some(&"v".repeat(20)), 1)]);
        assert!(decide(&over, NOW, &shrink, &limits, &samples::no_effects()).is_ok());
    }

    #[test]
    fn a_twenty_first_dataset_is_refused() {
        let mut view = view(None, vec![None]);
        view.holdings.datasets = 20;
        assert_eq!(
            decide(
                &view,
                NOW,
                &request(vec![patch("k", Some("v"), 0)]),
                &Limits::default(),
                &samples::no_effects()
            ),
            Err(Refusal::Limit { what: LimitKind::DatasetsPerIdentity, limit: 20, would_be: 21 })
        );
    }
}
