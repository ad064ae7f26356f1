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
    (any::<u64>(), proptest::option::of("[\u{0}-\u{2}a-b\u{10ffff}]{1,9}")).prop_map(
        |(incarnation, device)| {
            let id = PoolId::parse("us-east-1:0a").unwrap();
            let pool = PoolRef { id, incarnation: PoolIncarnation(incarnation) };
            let owner = IdentityRef { pool, identity: IdentityId::parse("us-east-1:01").unwrap() };
            let sink = device.map_or(Sink::Stream, |id| Sink::Device(DeviceId::parse(&id).unwrap()));
            LaneRef { dataset: DatasetRef { owner, name: DatasetName::parse("prefs").unwrap() }, sink }
        },
    )
}

pub(super) fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), any::<bool>()).prop_map(|(count, bulk)| {
        if bulk { Position::bulk(SyncCount(count)) } else { Position::change(SyncCount(count)) }
    })
}
