//! Values of which the tests of rows are made.

use carryall_core::ids::{DatasetName, DeviceId, IdentityId, PoolId, PoolIncarnation, SyncCount};
use carryall_core::model::{DatasetRef, IdentityRef, PoolRef};
use carryall_core::outbox::{LaneRef, Position, Sink};
use proptest::prelude::*;

pub(super) fn owner() -> IdentityRef {
    let pool = PoolRef { id: PoolId::parse("a:0").unwrap(), incarnation: PoolIncarnation(9) };
    IdentityRef { pool, identity: IdentityId::parse("a:1").unwrap() }
}

pub(super) fn lane_ref() -> impl Strategy<Value = LaneRef> {
    let device = "[\u{0}-\u{2}a-b\u{10ffff}]{1,9}".prop_map(|id| Sink::Device(DeviceId::parse(&id).unwrap()));
    let sink = prop_oneof![Just(Sink::Stream), device, Just(Sink::Publication)];
    (any::<u64>(), sink).prop_map(|(incarnation, sink)| {
        let id = PoolId::parse("us-east-1:0a").unwrap();
        let pool = PoolRef { id, incarnation: PoolIncarnation(incarnation) };
        let owner = IdentityRef { pool, identity: IdentityId::parse("us-east-1:01").unwrap() };
        LaneRef { dataset: DatasetRef { owner, name: DatasetName::parse("prefs").unwrap() }, sink }
    })
}

pub(super) fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), any::<bool>()).prop_map(|(count, bulk)| {
        if bulk { Position::bulk(SyncCount(count)) } else { Position::change(SyncCount(count)) }
    })
}
