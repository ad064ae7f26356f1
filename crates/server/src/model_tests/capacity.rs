//! Requests of one caller that need more memory or work than its share leaves.

use std::net::Ipv4Addr;
use std::sync::Arc;

use carryall_core::caller::Caller;
use carryall_core::changes::{Changes, Write};
use carryall_core::ids::{IdentityEpoch, IdentityId, PoolId};
use carryall_core::limits::Limits;
use carryall_core::model::{IdentityRef, Pool};
use carryall_core::time::UnixMillis;
use carryall_wire::fault::FaultKind;
use carryall_wire::ops::identity;
use carryall_wire::ops::sync::{self, update_records::RecordPatch};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::installation::{Home, app, call, create_pool, developer, master_key, settings};
use crate::app::App;
use crate::capacity::{Holding, SMALL_BYTES_MAX};
use crate::config::Settings;
use crate::source::Source;

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
const POOL: &str = "us-east-1:0";
const IDENTITY: &str = "us-east-1:1";

/// A guest of a program that refuses at once.
async fn guest(home: &Home) -> (Arc<App>, Caller) {
    guest_of(home, settings(&Limits::default(), false)).await
}

async fn guest_of(home: &Home, mut settings: Settings) -> (Arc<App>, Caller) {
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
    update_under(app, caller, list(app, caller).await?.sync_session_token, patches).await
}

async fn update_under(
    app: &App,
    caller: &Caller,
    session: String,
    patches: Vec<RecordPatch>,
) -> Result<sync::update_records::Output, FaultKind> {
    let input = sync::update_records::Input {
        identity_pool_id: Some(POOL.to_owned()),
        identity_id: Some(IDENTITY.to_owned()),
        dataset_name: Some("d".to_owned()),
        sync_session_token: Some(session),
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

async fn admit(app: &App, caller: &Caller) -> Holding {
    let (source, patience) = (Source::of(Ipv4Addr::LOCALHOST.into()), app.capacity.patience());
    app.capacity.admit(Some(caller), source, patience).await.ok().unwrap()
}

/// Another request of the caller, which builds a large answer but holds no memory.
async fn building(app: &App, caller: &Caller) -> Holding {
    let mut holding = admit(app, caller).await;
    holding.build(&app.capacity, 0).await.unwrap();
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

#[tokio::test]
async fn role_mappings_are_charged_and_larger_ones_than_are_accepted_today_are_still_read() {
    let (app, _) = guest(&Home::memory()).await;
    let stored = app.state.reads().pool(&PoolId::parse(POOL).unwrap()).await.unwrap().unwrap();
    let mappings = json!({ "accounts.example.com": { "Type": "x".repeat(1_000_000) } });
    let large = Pool { role_mappings: Some(mappings.to_string()), ..stored };
    let write = vec![Write::PutPool(Box::new(large))];
    assert!(app.state.commit(Changes { expect: Vec::new(), write }).await.unwrap().is_done());
    let get = || {
        let input = identity::get_identity_pool_roles::Input { identity_pool_id: Some(POOL.to_owned()) };
        call::<identity::GetIdentityPoolRoles>(&app, Some(developer()), NOW, input)
    };
    assert_eq!(get().await.unwrap().role_mappings.len(), 1);
    let mut others = Vec::new();
    loop {
        let mut other = admit(&app, &developer()).await;
        if other.pay_answer(&app.capacity, SMALL_BYTES_MAX).await.is_err() {
            break;
        }
        others.push(other);
    }
    assert_eq!(get().await.err().map(|fault| fault.kind), Some(FaultKind::TooManyRequests));
}

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:check";

/// A guest of a pool with a sync trigger, and the place where its function is called.
async fn guest_with_function() -> (Arc<App>, Caller, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s".repeat(64)).unwrap();
    let mut settings = settings(&Limits::default(), false);
    let (address, secret_file) = (listener.local_addr().unwrap(), secret.path().display());
    let destination =
        format!("name = '{FUNCTION}'\nurl = 'http://{address}/'\nsecret_file = '{secret_file}'");
    settings.trigger_destinations.push(toml::from_str(&destination).unwrap());
    let (app, caller) = guest_of(&Home::memory(), settings).await;
    (app, caller, listener)
}

async fn set_function(app: &Arc<App>) {
    let input = sync::set_cognito_events::Input {
        identity_pool_id: Some(POOL.to_owned()),
        events: Some([("SyncTrigger".to_owned(), FUNCTION.to_owned())].into()),
    };
    call::<sync::SetCognitoEvents>(app, Some(developer()), NOW, input).await.unwrap();
}

/// The next event that the function is sent. Connections without a request are checks of the pool's settings.
async fn next_event(listener: &TcpListener) -> (TcpStream, Value) {
    loop {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let (mut line, mut body_bytes) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                break;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                body_bytes = length.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; body_bytes];
        stream.read_exact(&mut body).await.unwrap();
        if let Ok(event) = serde_json::from_slice(&body) {
            return (stream.into_inner(), event);
        }
    }
}

async fn answer(mut stream: TcpStream, event: &Value) {
    let json = event.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", json.len());
    stream.write_all(format!("{head}{json}").as_bytes()).await.unwrap();
}

/// Other requests of the caller, which hold all memory for answers that its source has left.
async fn holding_the_rest(app: &App, caller: &Caller) -> Vec<Holding> {
    let mut holdings = Vec::new();
    // No answer is charged for more than the largest, so one does not hold everything.
    for _ in 0..4 {
        let mut holding = admit(app, caller).await;
        let (mut bytes, mut step_bytes) = (0, 4 * 1024 * 1024);
        while step_bytes >= 1024 {
            if holding.pay_answer(&app.capacity, bytes + step_bytes).await.is_ok() {
                bytes += step_bytes;
            }
            step_bytes /= 2;
        }
        holdings.push(holding);
    }
    holdings
}

/// Updates while the function edits the event and another request takes all the memory that is left.
async fn update_short_of_memory(
    patches: Vec<RecordPatch>,
    edit: impl Fn(&mut Value),
) -> (Result<usize, FaultKind>, u64) {
    let (app, caller, listener) = guest_with_function().await;
    set_function(&app).await;
    let function = async {
        let (stream, mut event) = next_event(&listener).await;
        let held = holding_the_rest(&app, &caller).await;
        edit(&mut event);
        answer(stream, &event).await;
        held
    };
    let (updated, held) = tokio::join!(update(&app, &caller, patches), function);
    drop(held);
    let stored = list(&app, &caller).await.unwrap().count;
    (updated.map(|output| output.records.len()), stored)
}

#[tokio::test]
async fn a_triggered_update_that_is_stored_is_not_refused_for_want_of_memory() {
    let patches = vec![patch("a", Some("v".repeat(1_000_000)))];
    assert_eq!(update_short_of_memory(patches, |_| ()).await, (Ok(1), 1));
}

#[tokio::test]
async fn a_triggered_update_whose_edits_find_no_memory_is_refused_and_not_stored() {
    let patches = vec![patch("a", Some("v".to_owned()))];
    let edit =
        |event: &mut Value| event["datasetRecords"]["b"] = json!({ "newValue": "v".repeat(1_000_000) });
    assert_eq!(update_short_of_memory(patches, edit).await, (Err(FaultKind::TooManyRequests), 0));
}

#[tokio::test]
async fn a_functions_answer_that_finds_no_memory_is_not_read_whole_and_its_update_not_stored() {
    let patches = vec![patch("a", Some("v".to_owned()))];
    let edit = |event: &mut Value| event["unknown"] = json!("v".repeat(1_000_000));
    assert_eq!(update_short_of_memory(patches, edit).await, (Err(FaultKind::TooManyRequests), 0));
}

#[tokio::test]
async fn a_triggered_update_of_a_large_dataset_waits_for_the_building_gate_before_it_loads() {
    let (app, caller, listener) = guest_with_function().await;
    let tombstones = (0..10_240).map(|number| patch(&format!("{number:04x}"), None)).collect();
    update(&app, &caller, tombstones).await.unwrap();
    set_function(&app).await;
    let session = list(&app, &caller).await.unwrap().sync_session_token;
    let other = building(&app, &caller).await;
    let refused = update_under(&app, &caller, session.clone(), vec![patch("a", Some("v".to_owned()))]).await;
    assert_eq!(refused.err(), Some(FaultKind::TooManyRequests));
    drop(other);
    let function = async {
        let (stream, event) = next_event(&listener).await;
        answer(stream, &event).await;
    };
    let patches = vec![patch("a", Some("v".to_owned()))];
    let (updated, ()) = tokio::join!(update_under(&app, &caller, session, patches), function);
    assert_eq!(updated.unwrap().records.len(), 1);
}
