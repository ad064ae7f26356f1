//! UpdateRecords: applies a set of patches atomically. Every patch must name a count from its record's own up to the
//! dataset's (`docs/protocol.md` sections 7.5 and 7.6).

use std::collections::HashSet;

use crate::changes::{Changes, Expect, PutRecord, Stamp, UsageDelta, Write};
use crate::cursor::Session;
use crate::ids::{DeviceId, RecordKey, SyncCount};
use crate::limits::{Limits, PATCHES_PER_UPDATE_MAX};
use crate::model::{DatasetRef, Head, Holdings, Life, Record, RecordStub, Writer};
use crate::refusal::{LimitKind, Refusal, TokenTrouble};
use crate::rules::effects::{Effects, Happened};
use crate::rules::pool_stands;
use crate::store::DatasetView;
use crate::time::UnixMillis;
use crate::violation::{Constraint, Violation};

/// A request whose members satisfy their constraints.
#[derive(Clone, Debug)]
pub struct UpdateRecords {
    /// The dataset to change; it need not exist.
    pub at: DatasetRef,
    /// The opened sync session token.
    pub session: Session,
    /// The patches.
    pub patches: Patches,
    /// Whom the change is attributed to.
    pub writer: Writer,
    /// The device that the client says it is.
    pub device: Option<DeviceId>,
}

/// One change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The record's key.
    pub key: RecordKey,
    /// The new value; `None` removes the record.
    pub value: Option<String>,
    /// The count at which the client has seen the record: the record's own or the dataset's; zero for an absent one.
    pub sync_count: SyncCount,
    /// When the device made the change, if it says so.
    pub device_modified: Option<UnixMillis>,
}

/// Patches of one request: not too many, and no key twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patches(Vec<Patch>);

impl Patches {
    /// Accepts `patches` if there are at most [`PATCHES_PER_UPDATE_MAX`] and each names another key.
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
                    &patch.key,
                    Constraint::Other("Member must not repeat the key of another patch".to_owned()),
                ));
            }
        }
        Ok(Self(patches))
    }

    /// The patches, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Patch> {
        self.0.iter()
    }

    /// The keys, in the order of the patches: what to load before deciding.
    pub fn keys(&self) -> Vec<RecordKey> {
        self.0.iter().map(|patch| patch.key.clone()).collect()
    }
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing was asked for: answer success, change nothing, use nothing up.
    Nothing,
    /// Commit the changes, then answer with the records.
    Apply {
        /// The commit.
        changes: Changes,
        /// The patched records as they will be, in the order of the patches.
        records: Vec<Record>,
    },
}

/// Decides `request` against what was loaded for [`Patches::keys`].
pub fn decide(
    view: &DatasetView,
    now: UnixMillis,
    request: &UpdateRecords,
    limits: &Limits,
    effects: &Effects,
) -> Result<Decision, Refusal> {
    check(view, now, request)?;
    if request.patches.0.is_empty() {
        return Ok(Decision::Nothing);
    }
    let head = effective_head(view);
    let sizes = Sizes::after(&head, &request.patches.0, &view.stubs);
    check_limits(&head, &view.holdings, &sizes, limits)?;
    Ok(apply(view, &head, now, request, &sizes, effects))
}

/// The checks that ask nothing of the new values: session and counts.
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
    for (patch, stub) in request.patches.0.iter().zip(&view.stubs) {
        check_count(&head, patch, stub.as_ref())?;
    }
    if head.used_sessions.contains(session.id) {
        return Err(Refusal::SessionToken(TokenTrouble::UsedUp));
    }
    Ok(())
}

fn effective_head(view: &DatasetView) -> Head {
    view.head.clone().unwrap_or_else(|| view.holdings.floor.head())
}

/// The compare rule (section 7.6): a patch names any count from the record's own up to the dataset's. The caller has
/// then seen the record's latest version. An applied call raises the record's count above the count that it named, so a
/// repetition is refused.
fn check_count(head: &Head, patch: &Patch, stub: Option<&RecordStub>) -> Result<(), Refusal> {
    // A key that this life of the dataset never saw stands at zero: after a deletion the iOS manager patches new keys
    // with the count that the listing reported.
    let server = stub.map_or(SyncCount::ZERO, |stub| stub.sync_count);
    if (server..=head.sync_count).contains(&patch.sync_count) {
        return Ok(());
    }
    Err(Refusal::StaleRecord { key: patch.key.clone(), server, client: patch.sync_count })
}

/// The dataset's totals before and after the patches.
struct Sizes {
    records: (u32, u32),
    tombstones: (u32, u32),
    data_bytes: (u64, u64),
}

impl Sizes {
    fn after(head: &Head, patches: &[Patch], stubs: &[Option<RecordStub>]) -> Self {
        let (records, tombstones, data_bytes) =
            head.life.as_ref().map_or((0, 0, 0), |life| (life.records, life.tombstones, life.data_bytes));
        let mut after = (records, tombstones, data_bytes);
        for (patch, stub) in patches.iter().zip(stubs) {
            match stub {
                Some(stub) if stub.removed => after.1 -= 1,
                Some(stub) => {
                    after.0 -= 1;
                    after.2 -= stub.data_bytes;
                }
                None => {}
            }
            match &patch.value {
                Some(value) => {
                    after.0 += 1;
                    after.2 += (patch.key.as_str().len() + value.len()) as u64;
                }
                None => after.1 += 1,
            }
        }
        Self {
            records: (records, after.0),
            tombstones: (tombstones, after.1),
            data_bytes: (data_bytes, after.2),
        }
    }

    fn data_bytes_added(&self) -> i64 {
        self.data_bytes.1.cast_signed() - self.data_bytes.0.cast_signed()
    }
}

/// A request that shrinks what is already over a limit is let through: lowering a limit must not lock data in.
fn check_limits(head: &Head, holdings: &Holdings, sizes: &Sizes, limits: &Limits) -> Result<(), Refusal> {
    let exceeded = |what, limit: u64, (before, after): (u64, u64)| {
        if after > limit && after > before {
            return Err(Refusal::Limit { what, limit, would_be: after });
        }
        Ok(())
    };
    let widened = |(before, after): (u32, u32)| (u64::from(before), u64::from(after));
    if head.life.is_none() {
        let datasets = widened((holdings.datasets, holdings.datasets + 1));
        exceeded(LimitKind::DatasetsPerIdentity, limits.datasets_per_identity_max.into(), datasets)?;
    }
    exceeded(LimitKind::RecordsPerDataset, limits.records_per_dataset_max.into(), widened(sizes.records))?;
    exceeded(
        LimitKind::TombstonesPerDataset,
        limits.tombstones_per_dataset_max.into(),
        widened(sizes.tombstones),
    )?;
    exceeded(LimitKind::DatasetBytes, limits.dataset_bytes_max, sizes.data_bytes)
}

fn apply(
    view: &DatasetView,
    head: &Head,
    now: UnixMillis,
    request: &UpdateRecords,
    sizes: &Sizes,
    effects: &Effects,
) -> Decision {
    let at = &request.at;
    let sync_count = head.sync_count.next();
    // Counts and dates of a dataset rise together, even if a clock was set back or differs between nodes. Events keep
    // the present time, at which they become due.
    let date = head.life.as_ref().map_or(now, |life| now.max(life.modified));
    let records: Vec<Record> = request
        .patches
        .0
        .iter()
        .map(|patch| Record {
            key: patch.key.clone(),
            value: patch.value.clone(),
            sync_count,
            modified: date,
            modified_by: request.writer.clone(),
            device_modified: patch.device_modified.unwrap_or(date),
        })
        .collect();
    let puts = records
        .iter()
        .zip(&view.stubs)
        .map(|(record, stub)| PutRecord {
            record: record.clone(),
            replaces: stub.as_ref().map(|stub| stub.sync_count),
        })
        .collect();
    let mut used_sessions = head.used_sessions.clone();
    used_sessions.push(request.session.id);
    let new_head = Head {
        sync_count,
        used_sessions,
        life: Some(Life {
            created: head.life.as_ref().map_or(date, |life| life.created),
            modified: date,
            modified_by: request.writer.clone(),
            records: sizes.records.1,
            tombstones: sizes.tombstones.1,
            data_bytes: sizes.data_bytes.1,
        }),
        ..head.clone()
    };
    let usage = UsageDelta { data_bytes: sizes.data_bytes_added(), sync_sessions: 0, modified: Some(date) };
    let mut changes = Changes {
        expect: vec![pool_stands(&at.owner), Expect::Dataset(at.clone(), view.head.as_ref().map(Stamp::of))],
        write: vec![
            Write::PutHead(at.clone(), new_head),
            Write::PutRecords { at: at.clone(), generation: head.generation, records: puts },
            Write::AddUsage(at.owner.pool.clone(), usage),
        ],
    };
    if head.life.is_none() {
        changes.expect.push(Expect::Holdings(at.owner.clone(), view.holdings.version));
        changes.write.push(Write::PutHoldings(at.owner.clone(), created_in(view)));
    }
    let happened = Happened::Updated(&records);
    effects.announce(&mut changes, at, sync_count, now, happened, request.device.as_ref());
    Decision::Apply { changes, records }
}

/// The owner's holdings after the dataset of `view` is created, whether the name is new or was deleted.
fn created_in(view: &DatasetView) -> Holdings {
    let holdings = view.holdings;
    Holdings {
        version: holdings.version.next(),
        datasets: holdings.datasets + 1,
        deleted_names: holdings.deleted_names - u32::from(view.head.is_some()),
        ..holdings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{DatasetName, Generation, IdentityId, PoolId, PoolIncarnation, SessionId, Version};
    use crate::model::{Floor, IdentityRef, PoolRef, UsedSessions};

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
            used_sessions: UsedSessions::default(),
            life: Some(Life {
                created: UnixMillis(1),
                modified: UnixMillis(1),
                modified_by: Writer::from("other"),
                records,
                tombstones: 0,
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
        match decide(view, NOW, request, &Limits::default(), &Effects::default()).unwrap() {
            Decision::Apply { changes, records } => (changes, records),
            Decision::Nothing => panic!("nothing was decided"),
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
            decide(&view, NOW, &stale, &Limits::default(), &Effects::default()),
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
                &Effects::default()
            )
            .is_ok()
        );
        assert!(matches!(
            decide(
                &view,
                NOW,
                &request(vec![patch("k", Some("v"), 8)]),
                &Limits::default(),
                &Effects::default()
            ),
            Err(Refusal::StaleRecord { server: SyncCount::ZERO, .. })
        ));
    }

    #[test]
    fn a_count_from_the_records_own_up_to_the_datasets_is_accepted_for_records_and_tombstones() {
        for removed in [false, true] {
            let mut head = head(7, u32::from(!removed), 3);
            head.life.as_mut().unwrap().tombstones = u32::from(removed);
            let bytes = if removed { 0 } else { 3 };
            let view = view(Some(head), vec![Some(stub(4, bytes, removed))]);
            for count in 0..=9 {
                let request = request(vec![patch("k", Some("v"), count)]);
                let outcome = decide(&view, NOW, &request, &Limits::default(), &Effects::default());
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
            decide(&seen, NOW, &repeated, &limits, &Effects::default()),
            Err(Refusal::StaleRecord { .. })
        ));
        let fresh_counts = request(vec![patch("k", Some("v"), 7)]);
        assert_eq!(
            decide(&seen, NOW, &fresh_counts, &limits, &Effects::default()),
            Err(Refusal::SessionToken(TokenTrouble::UsedUp))
        );
        let mut foreign = repeated.clone();
        foreign.session.identity = IdentityId::parse("us-east-1:2").unwrap();
        assert_eq!(
            decide(&seen, NOW, &foreign, &limits, &Effects::default()),
            Err(Refusal::SessionToken(TokenTrouble::Foreign))
        );
        let later = NOW.plus_seconds(60);
        assert_eq!(
            decide(&seen, later, &repeated, &limits, &Effects::default()),
            Err(Refusal::SessionToken(TokenTrouble::Expired))
        );
    }

    #[test]
    fn a_session_from_before_the_deletion_conflicts() {
        let deleted = Head {
            generation: Generation(1),
            sync_count: SyncCount(9),
            deleted_at: SyncCount(9),
            used_sessions: UsedSessions::default(),
            life: None,
        };
        let gone = view(Some(deleted), vec![None]);
        let old = request(vec![patch("k", Some("v"), 0)]);
        assert_eq!(
            decide(&gone, NOW, &old, &Limits::default(), &Effects::default()),
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
        view.holdings.floor = Floor { sync_count: SyncCount(40), generation: Generation(3) };
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
            decide(&view, NOW, &request(vec![]), &Limits::default(), &Effects::default()),
            Ok(Decision::Nothing)
        );
    }

    #[test]
    fn limits_count_what_will_be_and_let_shrinking_through() {
        let limits = Limits { records_per_dataset_max: 1, dataset_bytes_max: 10, ..Limits::default() };
        let full = view(Some(head(1, 1, 10)), vec![None]);
        assert_eq!(
            decide(&full, NOW, &request(vec![patch("k", Some("v"), 0)]), &limits, &Effects::default()),
            Err(Refusal::Limit { what: LimitKind::RecordsPerDataset, limit: 1, would_be: 2 })
        );
        let over = view(Some(head(1, 1, 30)), vec![Some(stub(1, 30, false))]);
        let grow = request(vec![patch("k", Some(&"v".repeat(40)), 1)]);
        assert_eq!(
            decide(&over, NOW, &grow, &limits, &Effects::default()),
            Err(Refusal::Limit { what: LimitKind::DatasetBytes, limit: 10, would_be: 41 })
        );
        let shrink = request(vec![patch("k", Some(&"v".repeat(20)), 1)]);
        assert!(decide(&over, NOW, &shrink, &limits, &Effects::default()).is_ok());
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
                &Effects::default()
            ),
            Err(Refusal::Limit { what: LimitKind::DatasetsPerIdentity, limit: 20, would_be: 21 })
        );
    }

    #[test]
    fn a_repeated_key_is_a_violation_that_names_it() {
        let twice = Patches::new(vec![patch("k", None, 0), patch("k", Some("v"), 0)]).unwrap_err();
        assert_eq!(twice.member, "recordPatches.2.member.key");
        assert_eq!(twice.value.as_deref(), Some("k"));
    }
}
