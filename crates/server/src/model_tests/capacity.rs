//! Requests of one caller that need more memory or work than its share leaves.

use std::sync::Arc;

use carryall_core::ids::{IdentityEpoch, IdentityId};
use carryall_core::limits::Limits;
use carryall_core::model::{Caller, IdentityRef};
use carryall_core::time::UnixMillis;
use carryall_wire::fault::FaultKind;
use carryall_wire::ops::sync::{self, update_records::RecordPatch};

use super::installation::{Home, app, call, create_pool, master_key, settings};
use crate::app::App;
use crate::capacity::{Holding, Party};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const POOL: &str = "us-east-1:0";
const IDENTITY: &str = "us-east-1:1";

/// A guest of a program that refuses at once.
async fn guest(home: &Home) -> (Arc<App>, Caller) {
    let mut settings = settings(&Limits::default(), false);
    settings.limits.admission_wait_milliseconds_max = 1;
    let app = app(home.open(), &master_key(), settings).await;
    let (pool, _) = create_pool(&app, POOL).await.unwrap();
    let at = IdentityRef { pool, identity: IdentityId::parse(IDENTITY).unwrap() };
    (app, Caller::Identity { at, epoch: IdentityEpoch(0) })
}

async fn list(app: &App, caller: &Caller) -> Result<sync::list_records::Output, FaultKind> {
    let input = sync::list_records::Input {
        identity_pool_id: Some(POOL.to_owned()),
        identity_id: Some(IDENTITY.to_owned()),
        dataset_name: Some("d".to_owned()),
        ..Default::default()
    };
    let listed = call::<sync::ListRecords>(app, Some(caller.clone()), NOW, input).await;
    listed.map_err(|fault| fault.kind)
}

async fn update(
    app: &App,
    caller: &Caller,
    patches: Vec<RecordPatch>,
) -> Result<sync::update_records::Output, FaultKind> {
    let input = sync::update_records::Input {
        identity_pool_id: Some(POOL.to_owned()),
        identity_id: Some(IDENTITY.to_owned()),
        dataset_name: Some("d".to_owned()),
        sync_session_token: Some(list(app, caller).await?.sync_session_token),
        record_patches: Some(patches),
        ..Default::default()
    };
    let updated = call::<sync::UpdateRecords>(app, Some(caller.clone()), NOW, input).await;
    updated.map_err(|fault| fault.kind)
}

fn patch(key: &str, value: Option<String>) -> RecordPatch {
    RecordPatch {
        op: Some(if value.is_some() { "replace" } else { "remove" }.to_owned()),
        key: Some(key.to_owned()),
        value,
        sync_count: Some(0),
        ..Default::default()
    }
}

/// Another request of the caller, which builds a large answer but holds no memory.
async fn building(app: &App, caller: &Caller) -> Holding {
    let mut holding = app.capacity.admit(Party::Caller(caller)).await.ok().unwrap();
    holding.build(&app.capacity).await.unwrap();
    holding.pay_answer(&app.capacity, 0).await.unwrap();
    holding
}

#[tokio::test]
async fn a_page_of_many_short_records_or_of_many_escapes_waits_for_the_building_gate() {
    let tombstones = (0..10_240).map(|number| patch(&format!("{number:04x}"), None)).collect();
    let escapes = vec![patch("escapes", Some("\u{1}".repeat(60_000)))];
    for patches in [tombstones, escapes] {
        for home in [Home::memory(), Home::embedded()] {
            let (app, caller) = guest(&home).await;
            update(&app, &caller, Vec::clone(&patches)).await.unwrap();
            let other = building(&app, &caller).await;
            let refused = list(&app, &caller).await.err();
            assert_eq!(refused, Some(FaultKind::TooManyRequests));
            drop(other);
            assert_eq!(list(&app, &caller).await.unwrap().count, patches.len() as u64);
        }
    }
}
