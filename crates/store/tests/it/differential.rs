//! The embedded store against the reference: random changes, the same answers to every read after each of them,
//! whether or not the store was closed and opened or has reclaimed in between.

use std::path::Path;

use carryall_core::changes::{Changes, Expect, Setting, UsageDelta, Write};
use carryall_core::ids::{AccessKeyId, Generation, PoolIncarnation, RecordKey, SyncCount};
use carryall_core::model::{DatasetRef, DeveloperKey, Holdings, IdentityRef, PoolRef, Sweep};
use carryall_core::store::{ListingRange, RecordCursor, RecordRange};
use carryall_core::time::UnixMillis;
use proptest::prelude::*;

use crate::outbox_moves::{self, OutboxMove, outbox_moves};
use crate::sample::{
    AnyStore, dataset, deletion_of, everything, identity, key, listed, open_embedded, open_memory, owner,
    pool, pool_ref, update_of, wait,
};

const POOLS: [&str; 2] = ["a", "b"];
const IDENTITIES: [&str; 2] = ["a:1", "a:11"];
const NAMES: [&str; 2] = ["d", "d.e"];
const KEYS: [&str; 3] = ["k", "k\u{0}", "l"];
const ACCESS_KEYS: [&str; 2] = ["AKIA000000000000", "AKIA000000000001"];

/// A move, made of small numbers that pick pools, identities, names and keys.
#[derive(Clone, Debug)]
enum Move {
    CreatePool(usize),
    EditPool(usize),
    RemovePool(usize),
    Update(usize, usize, usize, Vec<(usize, Option<u8>)>),
    Delete(usize, usize, usize),
    DropHead(usize, usize, usize),
    Forget(usize, usize, usize),
    PutIdentity(usize, usize),
    RemoveIdentity(usize, usize),
    PutSweep(usize, usize, i64),
    RemoveSweep(usize, usize, i64),
    RemoveHoldings(usize, usize),
    Sessions(usize),
    PutKey(usize),
    RemoveKey(usize),
    PutSetting(u8),
    Outbox(usize, usize, usize, OutboxMove),
    /// Sends the changes of an earlier move once more.
    Repeat(usize),
    Reclaim(usize),
    Reopen,
}

fn moves() -> impl Strategy<Value = Move> {
    let (pool, identity, name) = (0..2_usize, 0..2_usize, 0..2_usize);
    let at = (pool.clone(), identity.clone(), name);
    let owner = (pool.clone(), identity);
    let patches = proptest::collection::btree_map(0..3_usize, proptest::option::of(any::<u8>()), 1..4);
    prop_oneof![
        3 => pool.clone().prop_map(Move::CreatePool),
        1 => pool.clone().prop_map(Move::EditPool),
        1 => pool.clone().prop_map(Move::RemovePool),
        12 => (at.clone(), patches).prop_map(|((p, i, n), patches)| {
            Move::Update(p, i, n, patches.into_iter().collect())
        }),
        4 => at.clone().prop_map(|(p, i, n)| Move::Delete(p, i, n)),
        1 => at.clone().prop_map(|(p, i, n)| Move::DropHead(p, i, n)),
        1 => at.clone().prop_map(|(p, i, n)| Move::Forget(p, i, n)),
        20 => (at, outbox_moves()).prop_map(|((p, i, n), step)| Move::Outbox(p, i, n, step)),
        2 => owner.clone().prop_map(|(p, i)| Move::PutIdentity(p, i)),
        1 => owner.clone().prop_map(|(p, i)| Move::RemoveIdentity(p, i)),
        1 => (owner.clone(), -2..2_i64).prop_map(|((p, i), time)| Move::PutSweep(p, i, time)),
        1 => (owner.clone(), -2..2_i64).prop_map(|((p, i), time)| Move::RemoveSweep(p, i, time)),
        1 => owner.prop_map(|(p, i)| Move::RemoveHoldings(p, i)),
        1 => pool.prop_map(Move::Sessions),
        1 => (0..2_usize).prop_map(Move::PutKey),
        1 => (0..2_usize).prop_map(Move::RemoveKey),
        1 => any::<u8>().prop_map(Move::PutSetting),
        2 => any::<usize>().prop_map(Move::Repeat),
        3 => (1..6_usize).prop_map(Move::Reclaim),
        1 => Just(Move::Reopen),
    ]
}

/// Both stores, and what is needed to turn moves into changes.
struct Pair<'a> {
    dir: &'a Path,
    reference: AnyStore,
    embedded: Option<AnyStore>,
    /// How often each pool was created; its last incarnation may be gone.
    incarnations: [u64; 2],
    made: Vec<Changes>,
}

impl Pair<'_> {
    fn pool(&self, index: usize) -> PoolRef {
        pool_ref(POOLS[index], self.incarnations[index])
    }

    fn owner(&self, pool: usize, index: usize) -> IdentityRef {
        owner(&self.pool(pool), IDENTITIES[index])
    }

    fn dataset(&self, pool: usize, identity: usize, name: usize) -> DatasetRef {
        dataset(&self.owner(pool, identity), NAMES[name])
    }

    /// Changes of one pool that say so.
    fn in_pool(&self, pool: usize, write: Vec<Write>) -> Changes {
        Changes { expect: vec![Expect::Pool(self.pool(pool))], write }
    }

    fn sweep(&self, pool: usize, identity: usize, time: i64) -> Sweep {
        Sweep { owner: self.owner(pool, identity), not_before: UnixMillis(time) }
    }

    /// The changes of a move, decided on the reference; nothing for a move that would not be asked for.
    fn changes(&mut self, step: &Move) -> Option<Changes> {
        match step {
            Move::CreatePool(p) => Some(self.create_pool(*p)),
            Move::EditPool(p) => self.edit_pool(*p),
            Move::RemovePool(p) => Some(self.in_pool(*p, vec![Write::RemovePool(self.pool(*p))])),
            Move::Update(p, i, n, patches) => Some(self.update(&self.dataset(*p, *i, *n), patches)),
            Move::Delete(p, i, n) => {
                let at = self.dataset(*p, *i, *n);
                wait(self.reference.head(&at)).unwrap().head?;
                Some(deletion_of(&self.reference, &at))
            }
            Move::DropHead(p, i, n) => self.drop_head(*p, &self.dataset(*p, *i, *n)),
            Move::Forget(p, i, n) => {
                let at = self.dataset(*p, *i, *n);
                let generation = wait(self.reference.head(&at)).unwrap().head?.generation;
                Some(self.in_pool(*p, vec![Write::ForgetRecords(at, generation)]))
            }
            Move::PutIdentity(p, i) => {
                let at = self.owner(*p, *i);
                let expect = vec![Expect::Pool(at.pool.clone()), Expect::NoIdentity(at.clone())];
                Some(Changes { expect, write: vec![Write::PutIdentity(identity(at))] })
            }
            Move::RemoveIdentity(p, i) => {
                Some(self.in_pool(*p, vec![Write::RemoveIdentity(self.owner(*p, *i))]))
            }
            Move::PutSweep(p, i, time) => {
                Some(self.in_pool(*p, vec![Write::PutSweep(self.sweep(*p, *i, *time))]))
            }
            Move::RemoveSweep(p, i, time) => {
                Some(self.in_pool(*p, vec![Write::RemoveSweep(self.sweep(*p, *i, *time))]))
            }
            Move::RemoveHoldings(p, i) => {
                Some(self.in_pool(*p, vec![Write::RemoveHoldings(self.owner(*p, *i))]))
            }
            Move::Sessions(p) => {
                let delta = UsageDelta { sync_sessions: 1, ..UsageDelta::default() };
                Some(self.in_pool(*p, vec![Write::AddUsage(self.pool(*p), delta)]))
            }
            Move::PutKey(k) => Some(put_key(*k)),
            Move::RemoveKey(k) => {
                let id = AccessKeyId::parse(ACCESS_KEYS[*k]).unwrap();
                Some(Changes { expect: vec![], write: vec![Write::RemoveKey(id)] })
            }
            Move::PutSetting(value) => {
                let name = Setting::MasterKeyCheck;
                let write = vec![Write::PutSetting(name, vec![*value])];
                Some(Changes { expect: vec![Expect::NoSetting(name)], write })
            }
            Move::Outbox(p, i, n, step) => {
                outbox_moves::changes(&self.reference, step, &self.dataset(*p, *i, *n))
            }
            Move::Repeat(pick) => self.repeated(*pick),
            Move::Reclaim(_) | Move::Reopen => None,
        }
    }

    fn create_pool(&mut self, index: usize) -> Changes {
        let exists = wait(self.reference.pool(&self.pool(index).id)).unwrap().is_some();
        self.incarnations[index] += u64::from(!exists);
        let new = self.pool(index);
        let expect = vec![Expect::NoPool(new.id.clone())];
        Changes { expect, write: vec![Write::PutPool(Box::new(pool(new)))] }
    }

    fn edit_pool(&self, index: usize) -> Option<Changes> {
        let mut pool = wait(self.reference.pool(&self.pool(index).id)).unwrap()?;
        let expect = vec![Expect::PoolVersion(pool.at.clone(), pool.version)];
        pool.version = pool.version.next();
        pool.name.push('!');
        Some(Changes { expect, write: vec![Write::PutPool(Box::new(pool))] })
    }

    fn update(&self, at: &DatasetRef, patches: &[(usize, Option<u8>)]) -> Changes {
        let values: Vec<(usize, Option<String>)> =
            patches.iter().map(|(k, value)| (*k, value.map(|value| value.to_string()))).collect();
        let patches: Vec<(&str, Option<&str>)> =
            values.iter().map(|(k, value)| (KEYS[*k], value.as_deref())).collect();
        update_of(&self.reference, at, &patches)
    }

    fn drop_head(&self, pool: usize, at: &DatasetRef) -> Option<Changes> {
        let head = wait(self.reference.head(at)).unwrap().head?;
        let before = wait(self.reference.heads(&at.owner)).unwrap().holdings;
        let floor = before.floor.raised(head.sync_count, head.generation, head.deleted_on);
        let after = Holdings { version: before.version.next(), floor, ..before };
        let writes = vec![Write::RemoveHead(at.clone()), Write::PutHoldings(at.owner.clone(), after)];
        Some(self.in_pool(pool, writes))
    }

    /// An earlier change of a dataset, of a pool's settings or of a lane: those expect what their own success ended, or
    /// may be repeated while it has not.
    fn repeated(&self, pick: usize) -> Option<Changes> {
        let once = |changes: &&Changes| {
            changes.expect.iter().any(|expect| {
                matches!(expect, Expect::Dataset(..) | Expect::PoolVersion(..) | Expect::Lane(..))
            })
        };
        let earlier: Vec<&Changes> = self.made.iter().filter(once).collect();
        (!earlier.is_empty()).then(|| earlier[pick % earlier.len()].clone())
    }

    fn embedded(&self) -> &AnyStore {
        self.embedded.as_ref().unwrap()
    }

    fn step(&mut self, step: &Move) -> Result<(), TestCaseError> {
        if let Some(changes) = self.changes(step) {
            let expected = wait(self.reference.commit(changes.clone()));
            prop_assert_eq!(wait(self.embedded().commit(changes.clone())), expected, "{:?}", step);
            self.made.push(changes);
        }
        if let Move::Reclaim(rows) = step {
            wait(self.embedded().reclaim(*rows)).unwrap();
        }
        if matches!(step, Move::Reopen) {
            self.embedded = None;
            self.embedded = Some(open_embedded(self.dir));
        }
        for incarnation_a in [self.incarnations[0], self.incarnations[0].saturating_sub(1)] {
            for pool in [pool_ref("a", incarnation_a), self.pool(1)] {
                self.compare_pool(&pool)?;
            }
        }
        self.compare_rest()
    }

    fn compare_pool(&self, pool: &PoolRef) -> Result<(), TestCaseError> {
        let (a, b) = (&self.reference, self.embedded());
        prop_assert_eq!(wait(a.pool(&pool.id)), wait(b.pool(&pool.id)));
        prop_assert_eq!(wait(a.pool_usage(pool)), wait(b.pool_usage(pool)));
        for max in [1, 9] {
            prop_assert_eq!(wait(a.identities(pool, None, max)), wait(b.identities(pool, None, max)));
        }
        for text in IDENTITIES {
            let owner = owner(pool, text);
            let behind = Some(&owner.identity);
            prop_assert_eq!(wait(a.identities(pool, behind, 9)), wait(b.identities(pool, behind, 9)));
            prop_assert_eq!(wait(a.heads(&owner)), wait(b.heads(&owner)));
            outbox_moves::compare_owner(a, b, &owner)?;
            for name in NAMES {
                self.compare_dataset(&dataset(&owner, name))?;
            }
        }
        Ok(())
    }

    fn compare_dataset(&self, at: &DatasetRef) -> Result<(), TestCaseError> {
        let (a, b) = (&self.reference, self.embedded());
        let keys: Vec<RecordKey> = KEYS.iter().map(|text| key(text)).collect();
        let view = wait(a.head(at));
        prop_assert_eq!(&view, &wait(b.head(at)));
        prop_assert_eq!(wait(a.dataset(at, &keys)), wait(b.dataset(at, &keys)));
        prop_assert_eq!(wait(a.whole_dataset(at)), wait(b.whole_dataset(at)));
        let view = view.unwrap();
        let head = view.effective();
        let middle = SyncCount(head.sync_count.0 / 2);
        for range in [
            listed(),
            ListingRange { after: RecordCursor::Count(middle), max: Some(1), ..listed() },
            ListingRange { after: RecordCursor::Record(middle, key("k")), bytes_max: 3, ..listed() },
            ListingRange { through: Some(middle), ..listed() },
            ListingRange { after: RecordCursor::Count(head.sync_count), ..listed() },
        ] {
            prop_assert_eq!(wait(a.listing(at, range.clone())), wait(b.listing(at, range)));
        }
        for generation in [head.generation, Generation(head.generation.0.saturating_sub(1))] {
            for range in [
                everything(),
                RecordRange { after: RecordCursor::Count(middle), ..everything() },
                RecordRange { through: middle, ..everything() },
                RecordRange { after: RecordCursor::Record(middle, key("k")), max: Some(1), ..everything() },
                RecordRange { max: Some(2), ..everything() },
            ] {
                let expected = wait(a.records(at, generation, range.clone()));
                prop_assert_eq!(expected, wait(b.records(at, generation, range)));
            }
        }
        Ok(())
    }

    fn compare_rest(&self) -> Result<(), TestCaseError> {
        let (a, b) = (&self.reference, self.embedded());
        prop_assert_eq!(wait(a.pools(None, 9)), wait(b.pools(None, 9)));
        prop_assert_eq!(wait(a.keys()), wait(b.keys()));
        prop_assert_eq!(wait(a.setting(Setting::MasterKeyCheck)), wait(b.setting(Setting::MasterKeyCheck)));
        for text in IDENTITIES {
            let id = owner(&self.pool(0), text).identity;
            prop_assert_eq!(wait(a.identity(&id)), wait(b.identity(&id)));
        }
        for now in [-3, -1, 9] {
            prop_assert_eq!(wait(a.sweeps(UnixMillis(now), 9)), wait(b.sweeps(UnixMillis(now), 9)));
        }
        outbox_moves::compare_lanes(a, b, [&self.pool(0), &self.pool(1)])
    }
}

fn put_key(index: usize) -> Changes {
    let id = AccessKeyId::parse(ACCESS_KEYS[index]).unwrap();
    let key = DeveloperKey {
        id: id.clone(),
        sealed_secret: vec![1],
        created: UnixMillis(1),
        description: String::new(),
    };
    Changes { expect: vec![Expect::NoKey(id)], write: vec![Write::PutKey(key)] }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_embedded_store_answers_as_the_reference_does(steps in proptest::collection::vec(moves(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut pair = Pair {
            dir: dir.path(),
            reference: open_memory(),
            embedded: Some(open_embedded(dir.path())),
            incarnations: [0, 0],
            made: Vec::new(),
        };
        for step in [Move::CreatePool(0), Move::CreatePool(1)].iter().chain(&steps) {
            pair.step(step)?;
        }
        prop_assert_ne!(pair.pool(0).incarnation, PoolIncarnation(0));
    }
}
