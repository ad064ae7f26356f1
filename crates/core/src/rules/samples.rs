//! Sample values for the tests of several rules.

use std::collections::{BTreeMap, BTreeSet};

use crate::devices::{Device, Devices, Platform, PushToken};
use crate::ids::{DatasetName, DeviceId, IdentityId, PoolId, PoolIncarnation, Version};
use crate::model::{CognitoStreams, DatasetRef, IdentityRef, Pool, PoolRef, PushSync, StreamingStatus};
use crate::rules::effects::Effects;
use crate::rules::set_identity_pool::Settings;
use crate::time::UnixMillis;

pub(crate) const APPLICATION: &str = "arn:aws:sns:us-east-1:000000000000:app/GCM/notes";

pub(crate) fn pool() -> Pool {
    let at = PoolRef { id: PoolId::parse("us-east-1:0").unwrap(), incarnation: PoolIncarnation(1) };
    let mut pool = Settings { name: "notes".to_owned(), ..Settings::default() }.create(at, UnixMillis(0));
    pool.events = BTreeMap::new();
    pool
}

pub(crate) fn owner() -> IdentityRef {
    IdentityRef { pool: pool().at, identity: IdentityId::parse("us-east-1:1").unwrap() }
}

pub(crate) fn dataset() -> DatasetRef {
    DatasetRef { owner: owner(), name: DatasetName::parse("prefs").unwrap() }
}

/// The effects of a pool that is set up for nothing.
pub(crate) fn no_effects() -> Effects {
    Effects::of(&pool(), None)
}

/// `pool` with a stream that is switched on.
pub(crate) fn streaming(pool: Pool) -> Pool {
    let streams = CognitoStreams {
        stream_name: Some("changes".to_owned()),
        status: Some(StreamingStatus::Enabled),
        ..CognitoStreams::default()
    };
    Pool { streams: Some(streams), ..pool }
}

/// `pool` with a platform application.
pub(crate) fn pushing(pool: Pool) -> Pool {
    Pool { push: Some(PushSync { application_arns: vec![APPLICATION.to_owned()], role_arn: None }), ..pool }
}

/// Devices with these ids, each subscribed to `name`.
pub(crate) fn devices(ids: &[&str], name: &str) -> Devices {
    let device = |id: &&str| Device {
        id: DeviceId::parse(id).unwrap(),
        platform: Platform::Gcm,
        token: PushToken::parse(&format!("token-{id}")).unwrap(),
        application_arn: APPLICATION.to_owned(),
        endpoint: format!("endpoint-{id}"),
        enabled: true,
        registered: UnixMillis(1),
        subscriptions: BTreeSet::from([DatasetName::parse(name).unwrap()]),
    };
    Devices { version: Version(1), devices: ids.iter().map(device).collect() }
}
