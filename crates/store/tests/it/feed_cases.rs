//! The suite over what feeds the outbox: devices, bulk publications, and the walk over all heads of a pool.

use carryall_core::changes::{Expect, Write};
use carryall_core::devices::Devices;
use carryall_core::ids::Version;
use carryall_core::model::{BulkPublishStatus, CognitoStreams, StreamingStatus};
use carryall_core::store::Committed;

use crate::outbox_sample::{bulk_publish, devices};
use crate::sample::{
    AnyStore, commit, create_pool, dataset, delete, must_write, owner, pool, pool_ref, put_pool, reclaim_all,
    remove_pool, update, wait,
};

pub(crate) fn devices_are_kept_as_they_were_put(store: &AnyStore) {
    let pool = create_pool(store);
    let (one, other) = (owner(&pool, "a:1"), owner(&pool, "a:11"));
    let of = |owner| wait(store.devices(owner)).unwrap();
    assert_eq!(of(&one), Devices::default());
    let mut all = devices(1, &["b", "a", "a\u{0}"]);
    all.devices[1].enabled = false;
    all.devices[2].subscriptions.clear();
    let put = |version, devices: &Devices| {
        let expect = vec![Expect::Devices(one.clone(), Version(version))];
        commit(store, expect, vec![Write::PutDevices(one.clone(), devices.clone())])
    };
    assert_eq!(put(1, &all), Ok(Committed::Refused), "who has none is at version zero");
    assert_eq!(put(0, &all), Ok(Committed::Done));
    assert_eq!((of(&one), of(&other)), (all.clone(), Devices::default()));
    assert_eq!(put(0, &all), Ok(Committed::Refused));
    assert_eq!(put(1, &devices(2, &[])), Ok(Committed::Done));
    assert_eq!(of(&one), devices(2, &[]), "an empty list has a version too");
    must_write(store, vec![], vec![Write::RemoveDevices(one.clone())]);
    assert_eq!(of(&one), Devices::default());
    assert_eq!(put(0, &all), Ok(Committed::Done));
}

pub(crate) fn a_bulk_publication_is_kept_as_it_was_put(store: &AnyStore) {
    let (here, there) = (create_pool(store), pool_ref("b", 1));
    put_pool(store, &there);
    let of = |pool| wait(store.bulk_publish(pool)).unwrap();
    assert_eq!(of(&here), None);
    let put = |version, bulk: &carryall_core::model::BulkPublish| {
        let expect = vec![Expect::BulkPublish(here.clone(), Version(version))];
        commit(store, expect, vec![Write::PutBulkPublish(here.clone(), bulk.clone())])
    };
    let mut begun = bulk_publish(1, BulkPublishStatus::InProgress);
    begun.succeeded = None;
    assert_eq!(put(1, &begun), Ok(Committed::Refused), "a pool that never had one is at version zero");
    assert_eq!(put(0, &begun), Ok(Committed::Done));
    assert_eq!((of(&here), of(&there)), (Some(begun.clone()), None));
    assert_eq!(put(0, &begun), Ok(Committed::Refused));
    let failed = BulkPublishStatus::Failed { message: "the stream is gone".into() };
    for (version, status) in [(2, failed), (3, BulkPublishStatus::Succeeded)] {
        assert_eq!(put(version - 1, &bulk_publish(version, status.clone())), Ok(Committed::Done));
        assert_eq!(of(&here), Some(bulk_publish(version, status)));
    }
}

pub(crate) fn a_removed_pools_devices_and_bulk_publication_are_gone_at_once(store: &AnyStore) {
    let here = create_pool(store);
    let owner = owner(&here, "a:1");
    must_write(
        store,
        vec![],
        vec![
            Write::PutDevices(owner.clone(), devices(4, &["a"])),
            Write::PutBulkPublish(here.clone(), bulk_publish(5, BulkPublishStatus::Succeeded)),
        ],
    );
    update(store, &dataset(&owner, "prefs"), &[("k", Some("v"))]);
    remove_pool(store, &here);
    let gone = || {
        assert_eq!(wait(store.devices(&owner)).unwrap(), Devices::default());
        assert_eq!(wait(store.bulk_publish(&here)).unwrap(), None);
        assert_eq!(wait(store.heads_of_pool(&here, None, 9)).unwrap(), []);
        let none =
            vec![Expect::Devices(owner.clone(), Version(0)), Expect::BulkPublish(here.clone(), Version(0))];
        must_write(store, none, vec![]);
    };
    gone();
    reclaim_all(store, 1);
    gone();
}

pub(crate) fn all_heads_of_a_pool_are_listed_in_pages(store: &AnyStore) {
    let (here, there) = (create_pool(store), pool_ref("b", 1));
    put_pool(store, &there);
    let datasets = [("a:1", "a"), ("a:1", "b."), ("a:1-", "a"), ("a:11", "B"), ("a:11", "a"), ("a:2", "a")];
    let datasets = datasets.map(|(identity, name)| dataset(&owner(&here, identity), name));
    for at in datasets.iter().rev() {
        update(store, at, &[("k", Some("v"))]);
    }
    update(store, &dataset(&owner(&there, "a:1"), "a"), &[("k", Some("v"))]);
    delete(store, &datasets[3]);
    let expected: Vec<_> =
        datasets.iter().map(|at| (at.clone(), wait(store.head(at)).unwrap().head.unwrap())).collect();
    assert_eq!(expected.iter().filter(|(_, head)| head.life.is_none()).count(), 1, "deleted names too");
    for size in [1, 2, 5, 6, 9] {
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let page = wait(store.heads_of_pool(&here, after.as_ref(), size)).unwrap();
            assert!(page.len() <= size);
            let Some((last, _)) = page.last() else { break };
            after = Some((last.owner.identity.clone(), last.name.clone()));
            paged.extend(page);
        }
        assert_eq!(paged, expected, "in pages of {size}");
    }
    let absent = dataset(&owner(&here, "a:1"), "b");
    let after = Some((absent.owner.identity, absent.name));
    let rest = wait(store.heads_of_pool(&here, after.as_ref(), 9)).unwrap();
    assert_eq!(rest, expected[1..], "a cursor need not exist");
    assert_eq!(wait(store.heads_of_pool(&pool_ref("c", 1), None, 9)).unwrap(), []);
}

pub(crate) fn what_was_found_wrong_with_a_stream_is_kept(store: &AnyStore) {
    let at = pool_ref("a", 1);
    let streams = CognitoStreams {
        stream_name: Some("changes".into()),
        role_arn: None,
        status: Some(StreamingStatus::Disabled),
        disabled_reason: Some("the stream does not exist".into()),
    };
    let pool = carryall_core::model::Pool { streams: Some(streams), ..pool(at.clone()) };
    let expect = vec![Expect::NoPool(at.id.clone())];
    must_write(store, expect, vec![Write::PutPool(Box::new(pool.clone()))]);
    assert_eq!(wait(store.pool(&at.id)).unwrap(), Some(pool));
}
