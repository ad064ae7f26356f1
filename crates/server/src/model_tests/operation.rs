//! The steps of a run, as values that proptest can generate and shrink. Everything is an index or a choice
//! that is resolved when the step is taken, so that a shrunk run still makes sense.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

pub(super) const POOLS: usize = 2;
pub(super) const IDENTITIES: usize = 3;
pub(super) const DATASETS: usize = 4;
/// The seventh is longer than the limit, the eighth is empty.
pub(super) const KEYS: [&str; 8] = ["a", "b", "c", "d", "é", "long key", "longer key", ""];
/// The last is longer than the limit.
pub(super) const VALUES: [&str; 6] =
    ["", "v", "ü", "ten bytes.", "twenty bytes of text", "one byte over the max"];

/// A dataset, by numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Where {
    pub(super) pool: usize,
    pub(super) identity: usize,
    pub(super) dataset: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum By {
    Owner,
    Developer,
    /// Another identity of the same pool.
    Neighbour,
    /// The identity, with credentials of an earlier incarnation of the pool if there was one.
    OldCredentials,
}

/// The choice among the tokens issued so far.
#[derive(Clone, Copy, Debug)]
pub(super) enum TokenChoice {
    /// One from a new listing.
    Fresh,
    /// The last one issued for this dataset.
    Latest,
    Any(u8),
    /// One issued before the last, counted back.
    Before(usize),
    Absent,
    Forged,
    /// A genuine one with a character changed.
    Damaged(u8, u8),
    /// A genuine one of another kind.
    OtherKind(u8),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum CountChoice {
    /// The record's own.
    Right,
    /// The dataset's count.
    OfDataset,
    Zero,
    /// Above the record's own, perhaps also above the dataset's.
    Above(u8),
    /// Below the record's own.
    Below(u8),
    Negative,
    Absent,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum OpChoice {
    Replace,
    Remove,
    Other,
}

#[derive(Clone, Debug)]
pub(super) struct Patch {
    pub(super) key: usize,
    pub(super) op: OpChoice,
    pub(super) value: Option<usize>,
    pub(super) count: CountChoice,
    /// Milliseconds from now.
    pub(super) device_date: Option<i64>,
}

/// LastSyncCount, relative to the dataset's count where that makes sense.
#[derive(Clone, Copy, Debug)]
pub(super) enum LastChoice {
    Absent,
    Zero,
    Back(u8),
    Ahead(u8),
    Negative,
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    List {
        by: By,
        at: Where,
        last: LastChoice,
        max: Option<i64>,
        session: TokenChoice,
        page: TokenChoice,
    },
    Update {
        by: By,
        at: Where,
        device: Option<u8>,
        session: TokenChoice,
        patches: Option<Vec<Patch>>,
    },
    /// A successful update, sent once more unchanged.
    RepeatUpdate {
        which: u8,
    },
    /// More updates of one dataset than sessions are remembered, then one with the oldest remembered session
    /// and one with the session before it.
    UpdateManyTimes {
        at: Where,
    },
    DeleteDataset {
        by: By,
        at: Where,
    },
    DescribeDataset {
        by: By,
        at: Where,
    },
    ListDatasets {
        by: By,
        at: Where,
        max: Option<i64>,
        page: TokenChoice,
    },
    IdentityUsage {
        by: By,
        at: Where,
    },
    PoolUsage {
        by: By,
        at: Where,
    },
    AllPoolUsage {
        by: By,
        max: i64,
    },
    /// The largest number of markers of deleted names, less this many.
    DeletedLongAgo {
        at: Where,
        less: u8,
    },
    HandOutIdentity {
        at: Where,
    },
    DeleteIdentity {
        at: Where,
    },
    DeletePool {
        at: Where,
    },
    CreatePool {
        at: Where,
    },
    Pass {
        seconds: u32,
    },
    /// The clock is set back.
    SetBack {
        seconds: u32,
    },
    Sweep,
    Reclaim {
        rows_max: usize,
    },
    /// The process ends and another begins, perhaps with other limits.
    Restart {
        limits: usize,
    },
}

fn place() -> impl Strategy<Value = Where> {
    let often_first = |weight: u32, count: usize| prop_oneof![weight => Just(0), 1 => 0..count];
    (often_first(12, POOLS), often_first(8, IDENTITIES), often_first(2, DATASETS))
        .prop_map(|(pool, identity, dataset)| Where { pool, identity, dataset })
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![
        20 => Just(By::Owner),
        3 => Just(By::Developer),
        1 => Just(By::Neighbour),
        1 => Just(By::OldCredentials),
    ]
}

fn session(usual: TokenChoice) -> impl Strategy<Value = TokenChoice> {
    prop_oneof![
        12 => Just(usual),
        4 => Just(TokenChoice::Latest),
        4 => any::<u8>().prop_map(TokenChoice::Any),
        1 => Just(TokenChoice::Absent),
        1 => Just(TokenChoice::Forged),
        1 => any::<(u8, u8)>().prop_map(|(which, place)| TokenChoice::Damaged(which, place)),
        1 => any::<u8>().prop_map(TokenChoice::OtherKind),
    ]
}

fn page() -> impl Strategy<Value = TokenChoice> {
    prop_oneof![
        10 => Just(TokenChoice::Absent),
        10 => Just(TokenChoice::Latest),
        2 => any::<u8>().prop_map(TokenChoice::Any),
        1 => Just(TokenChoice::Forged),
        1 => any::<(u8, u8)>().prop_map(|(which, place)| TokenChoice::Damaged(which, place)),
        1 => any::<u8>().prop_map(TokenChoice::OtherKind),
    ]
}

fn count() -> impl Strategy<Value = CountChoice> {
    prop_oneof![
        30 => Just(CountChoice::Right),
        10 => Just(CountChoice::OfDataset),
        3 => Just(CountChoice::Zero),
        6 => (1..5_u8).prop_map(CountChoice::Above),
        2 => (1..3_u8).prop_map(CountChoice::Below),
        1 => prop_oneof![Just(CountChoice::Negative), Just(CountChoice::Absent)],
    ]
}

fn patch() -> impl Strategy<Value = Patch> {
    let key = prop_oneof![80 => 0..6_usize, 1 => 6..KEYS.len()];
    let op =
        prop_oneof![30 => Just(OpChoice::Replace), 15 => Just(OpChoice::Remove), 1 => Just(OpChoice::Other)];
    let value = prop_oneof![
        80 => (0..VALUES.len() - 1).prop_map(Some),
        1 => Just(Some(VALUES.len() - 1)),
        1 => Just(None),
    ];
    let device_date = option::of(prop_oneof![Just(0), -10_000_000..10_000_000_i64]);
    (key, op, value, count(), device_date).prop_map(|(key, op, value, count, device_date)| Patch {
        key,
        op,
        value,
        count,
        device_date,
    })
}

fn patches() -> impl Strategy<Value = Option<Vec<Patch>>> {
    // Mostly one patch a key, because a repeated key refuses the whole call.
    let apart = btree_map(0..6_usize, patch(), 1..4)
        .prop_map(|patches| patches.into_iter().map(|(key, patch)| Patch { key, ..patch }).collect());
    prop_oneof![
        10 => patch().prop_map(|patch| Some(vec![patch])),
        10 => apart.prop_map(Some),
        2 => vec(patch(), 0..6).prop_map(Some),
        1 => Just(None),
    ]
}

fn last() -> impl Strategy<Value = LastChoice> {
    prop_oneof![
        2 => Just(LastChoice::Absent),
        4 => Just(LastChoice::Zero),
        8 => (0..6_u8).prop_map(LastChoice::Back),
        2 => (1..4_u8).prop_map(LastChoice::Ahead),
        1 => Just(LastChoice::Negative),
    ]
}

fn max() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![4 => Just(None), 12 => (1..4_i64).prop_map(Some), 1 => Just(Some(5000)), 1 => (-1..1_i64).prop_map(Some)]
}

fn list() -> impl Strategy<Value = Operation> {
    (by(), place(), last(), max(), session(TokenChoice::Absent), page())
        .prop_map(|(by, at, last, max, session, page)| Operation::List { by, at, last, max, session, page })
}

fn update() -> impl Strategy<Value = Operation> {
    (by(), place(), option::of(0..3_u8), session(TokenChoice::Fresh), patches())
        .prop_map(|(by, at, device, session, patches)| Operation::Update { by, at, device, session, patches })
}

fn read() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (by(), place()).prop_map(|(by, at)| Operation::DescribeDataset { by, at }),
        3 => (by(), place(), max(), page())
            .prop_map(|(by, at, max, page)| Operation::ListDatasets { by, at, max, page }),
        1 => (by(), place()).prop_map(|(by, at)| Operation::IdentityUsage { by, at }),
        2 => (prop_oneof![Just(By::Developer), by()], place()).prop_map(|(by, at)| Operation::PoolUsage { by, at }),
        1 => (prop_oneof![Just(By::Developer), by()], 0..3_i64)
            .prop_map(|(by, max)| Operation::AllPoolUsage { by, max }),
    ]
}

fn pass() -> impl Strategy<Value = Operation> {
    prop_oneof![4 => 0..3_u32, 2 => 1_700..1_900_u32, 2 => 3_599..3_602_u32, 1 => 43_000..44_000_u32]
        .prop_map(|seconds| Operation::Pass { seconds })
}

fn set_back() -> impl Strategy<Value = Operation> {
    prop_oneof![4 => 1..3_u32, 1 => 600..4000_u32].prop_map(|seconds| Operation::SetBack { seconds })
}

fn upheaval() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => place().prop_map(|at| Operation::UpdateManyTimes { at }),
        2 => (place(), 0..3_u8).prop_map(|(at, less)| Operation::DeletedLongAgo { at, less }),
        1 => place().prop_map(|at| Operation::HandOutIdentity { at }),
        2 => place().prop_map(|at| Operation::DeleteIdentity { at }),
        1 => place().prop_map(|at| Operation::DeletePool { at }),
        2 => place().prop_map(|at| Operation::CreatePool { at }),
        2 => Just(Operation::Sweep),
        3 => prop_oneof![1..4_usize, Just(1000)].prop_map(|rows_max| Operation::Reclaim { rows_max }),
        2 => (0..3_usize).prop_map(|limits| Operation::Restart { limits }),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        12 => list(),
        20 => update(),
        4 => (by(), place()).prop_map(|(by, at)| Operation::DeleteDataset { by, at }),
        5 => read(),
        3 => pass(),
        1 => set_back(),
        2 => any::<u8>().prop_map(|which| Operation::RepeatUpdate { which }),
        3 => upheaval(),
    ]
}

/// A whole run: true if developers may update, and the steps.
pub(super) fn run() -> impl Strategy<Value = (bool, Vec<Operation>)> {
    (prop_oneof![1 => Just(false), 3 => Just(true)], vec(operation(), 1..100))
}
