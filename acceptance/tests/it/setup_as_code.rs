//! Push, streams and triggers stated in the configuration file with their pool: in effect from the first
//! start, changed by editing the file, no effect on what they do not state, and refused in one clear line if
//! they cannot work.

use std::fs;

use carryall_acceptance::api::{encoded, succeeded};
use carryall_acceptance::peers::{Answer, FaultProxy, Kinesalite, Received, Receiver, until};
use carryall_acceptance::{Caller, DIRECTORY, Server, ServerSettings, Store};
use serde_json::{Value, json};

use crate::push::{configuration, configure, subscribed};

const POOL: &str = "us-east-1:5e7c0de0-0000-4000-8000-000000000001";
const APPLICATION: &str = "arn:aws:sns:us-east-1:123456789012:app/GCM/stated";
const OTHER_APPLICATION: &str = "arn:aws:sns:us-east-1:123456789012:app/APNS/stated";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:123456789012:function:stated";
const ROLE: &str = "arn:aws:iam::123456789012:role/stated";
/// The secret of the destinations, and the variable that holds it.
const SECRET: &str = "never-to-be-printed-0123456789";
const VARIABLE: &str = "HOOK_SECRET";

fn pool(blocks: &str) -> String {
    format!("[[pools]]\nid = \"{POOL}\"\nname = \"stated\"\n{blocks}\n")
}

/// Destinations for everything that [`POOL`] may name, at this origin.
fn destinations(origin: &str) -> String {
    ["stream", "trigger", "push"].into_iter().fold(String::new(), |text, kind| {
        let of = format!("pool = \"{POOL}\"\nurl = \"{origin}/{kind}\"\nsecret_env = \"{VARIABLE}\"");
        format!("{text}[[{kind}_destinations]]\n{of}\n")
    })
}

fn settings(configuration: &str) -> ServerSettings {
    let anybody = Caller::developer("AKIAANYBODY000000000", "anything");
    ServerSettings::default().configuration(configuration).variable(VARIABLE, SECRET).acting_as(&anybody)
}

fn events(server: &Server) -> Value {
    let target = format!("/identitypools/{}/events", encoded(POOL));
    let answer = succeeded(&server.api().sync(Some(&server.root()), "GET", &target, None));
    answer["Events"].clone()
}

fn set_trigger(server: &Server, function: &str) {
    let target = format!("/identitypools/{}/events", encoded(POOL));
    let body = json!({ "Events": { "SyncTrigger": function } });
    let answer = server.api().sync(Some(&server.root()), "POST", &target, Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Starts the stopped or running server again with another file.
fn restart_with(server: &mut Server, configuration: &str) {
    server.stop();
    server.configure(configuration);
    server.restart();
}

fn wait_for_path(receiver: &Receiver, path: &str, count: usize) -> Vec<Received> {
    until(&format!("{count} requests for {path}"), || {
        let mut received = receiver.received();
        received.retain(|one| one.path() == path && one.request.method == "POST");
        (received.len() >= count).then_some(received)
    })
}

#[test]
fn what_is_stated_is_in_effect_from_the_first_start() {
    let receiver = Receiver::start();
    let blocks = format!(
        "[pools.push_sync]\napplication_arns = [\"{APPLICATION}\"]\nrole_arn = \"{ROLE}\"\n\
         [pools.cognito_streams]\nstream_name = \"changes\"\n[pools.events]\nSyncTrigger = \"{FUNCTION}\""
    );
    for store in [Store::Embedded, Store::Memory] {
        let text = format!("{}{}", pool(&blocks), destinations(&receiver.url("")));
        let server = Server::start_with(store, settings(&text));
        let stated = configuration(&server, POOL);
        assert_eq!(stated["PushSync"], json!({ "ApplicationArns": [APPLICATION], "RoleArn": ROLE }));
        let streams = &stated["CognitoStreams"];
        assert_eq!(streams["StreamName"], "changes");
        assert_eq!(streams["StreamingStatus"], "ENABLED");
        assert_eq!(events(&server), json!({ "SyncTrigger": FUNCTION }));
        takes_effect(&server, &receiver);
    }
}

/// Expects that a change passes the function and reaches the stream and a device, all at the receiver.
fn takes_effect(server: &Server, receiver: &Receiver) {
    let sent_before = |path| {
        receiver.received().iter().filter(|one| one.path() == path && one.request.method == "POST").count()
    };
    let (streamed, pushed) = (sent_before("/stream"), sent_before("/push"));
    let api = server.api();
    let guest = api.new_guest(POOL);
    let answer = |records: Value| {
        let answer = json!({
            "version": 2, "eventType": "SyncTrigger", "region": "us-east-1", "identityPoolId": POOL,
            "identityId": guest.identity, "datasetName": "prefs", "datasetRecords": records,
        });
        receiver.answer_path("/trigger", Answer::status(200).body(answer.to_string()));
    };
    answer(json!({ "k": { "oldValue": null, "newValue": "the client's", "op": "replace" } }));
    api.put(&guest, "prefs", "k", "the client's", 0);
    let device = subscribed(api, &guest, "GCM", "a token", "prefs");
    answer(json!({ "k": { "oldValue": "the client's", "newValue": "the function's", "op": "replace" } }));
    api.put(&guest, "prefs", "k", "another", 1);
    assert_eq!(api.list(&guest, "prefs")["Records"][0]["Value"], "the function's");

    let of_stream = wait_for_path(receiver, "/stream", streamed + 2).split_off(streamed);
    let counts: Vec<Value> = of_stream.iter().map(|one| one.json()["syncCount"].clone()).collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(of_stream[1].json()["kinesisSyncRecords"][0]["value"], "the function's");
    let of_push = wait_for_path(receiver, "/push", pushed + 1).split_off(pushed);
    assert_eq!(of_push[0].json()["deviceId"], json!(device));
    assert_eq!(of_push[0].json()["message"]["syncCount"], "2");
    assert!(of_stream.iter().chain(&of_push).all(|one| one.is_signed_with(SECRET)));
}

#[test]
fn an_edited_file_counts_from_the_next_start_and_what_it_does_not_state_stays() {
    let stated = |arns: &str| pool(&format!("[pools.push_sync]\napplication_arns = {arns}"));
    let mut server = Server::start_with(Store::Embedded, settings(&stated(&format!("[\"{APPLICATION}\"]"))));
    let streams = json!({ "StreamName": "by-the-api", "RoleArn": ROLE, "StreamingStatus": "DISABLED" });
    configure(&server, POOL, &json!({ "CognitoStreams": streams }));
    set_trigger(&server, FUNCTION);
    let guest = server.api().new_guest(POOL);
    let expect = |server: &Server, push: Value| {
        let kept = configuration(server, POOL);
        assert_eq!(kept["PushSync"], push);
        for member in ["StreamName", "RoleArn", "StreamingStatus"] {
            assert_eq!(kept["CognitoStreams"][member], streams[member], "not stated");
        }
        assert_eq!(events(server), json!({ "SyncTrigger": FUNCTION }), "not stated");
    };
    let of = |arn: &str| json!({ "ApplicationArns": [arn], "RoleArn": null });
    expect(&server, of(APPLICATION));

    restart_with(&mut server, &stated(&format!("[\"{OTHER_APPLICATION}\"]")));
    expect(&server, of(OTHER_APPLICATION));
    // What the file states is set at every start, whatever the API set meanwhile.
    configure(&server, POOL, &json!({ "PushSync": of(APPLICATION) }));
    expect(&server, of(APPLICATION));
    server.stop();
    server.restart();
    expect(&server, of(OTHER_APPLICATION));
    // A block that is removed from the file is no longer stated, and stays unchanged.
    restart_with(&mut server, &pool(""));
    expect(&server, of(OTHER_APPLICATION));
    configure(&server, POOL, &json!({ "PushSync": of(APPLICATION) }));
    server.stop();
    server.restart();
    expect(&server, of(APPLICATION));
    restart_with(&mut server, &stated("[]"));
    expect(&server, Value::Null);
    restart_with(&mut server, "");
    expect(&server, Value::Null);
    // The pool stays the same one.
    server.api().list(&guest, "prefs");
}

#[test]
fn a_stated_trigger_is_changed_and_taken_away_by_the_file() {
    let stated = |function: &str| pool(&format!("[pools.events]\nSyncTrigger = \"{function}\""));
    let mut server = Server::start_with(Store::Embedded, settings(&stated(FUNCTION)));
    assert_eq!(events(&server), json!({ "SyncTrigger": FUNCTION }));
    restart_with(&mut server, &stated("another"));
    assert_eq!(events(&server), json!({ "SyncTrigger": "another" }));
    restart_with(&mut server, &pool(""));
    assert_eq!(events(&server), json!({ "SyncTrigger": "another" }));
    restart_with(&mut server, &stated(""));
    assert_eq!(events(&server), json!({}));
    let guest = server.api().new_guest(POOL);
    server.api().put(&guest, "prefs", "k", "v", 0);
}

#[test]
fn a_stated_stream_that_was_switched_off_is_on_again_after_a_start() {
    let kinesalite = Kinesalite::shared();
    let stream = kinesalite.stream("stated-later");
    let text = pool("[pools.cognito_streams]\nstream_name = \"stated-later\"");
    let settings = settings(&text).endpoint_of("KINESIS", &kinesalite.endpoint_url());
    let mut server = Server::start_with(Store::Embedded, settings);
    let guest = server.api().new_guest(POOL);
    server.api().put(&guest, "prefs", "k", "v", 0);
    until("streaming is switched off", || {
        let streams = configuration(&server, POOL)["CognitoStreams"].take();
        let reason = streams["DisabledReason"].as_str()?;
        assert!(reason.contains("ResourceNotFoundException"), "{reason}");
        (streams["StreamingStatus"] == "DISABLED").then_some(())
    });
    server.stop();
    stream.create(1);
    server.restart();
    let streams = configuration(&server, POOL)["CognitoStreams"].take();
    assert_eq!((&streams["StreamingStatus"], &streams["DisabledReason"]), (&json!("ENABLED"), &Value::Null));
    server.api().put(&guest, "prefs", "k", "w", 1);
    let counts: Vec<Value> = stream.wait_for(2).iter().map(|one| one.json()["syncCount"].clone()).collect();
    assert_eq!(counts, [1, 2], "the change that found no stream is not lost");
}

#[test]
fn the_check_of_a_stated_pool_reaches_its_destinations() {
    let receiver = Receiver::start();
    let blocks = format!(
        "[pools.push_sync]\napplication_arns = [\"{APPLICATION}\"]\n[pools.cognito_streams]\n\
         stream_name = \"changes\"\n[pools.events]\nSyncTrigger = \"{FUNCTION}\""
    );
    let proxy = FaultProxy::before(receiver.address());
    let text = format!("{}{}", pool(&blocks), destinations(&proxy.endpoint_url()));
    let server = Server::start_with(Store::Embedded, settings(&text));
    let check = || server.try_verb(&["pool", "check", POOL]);
    let ended = check();
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{ended:?}");
    assert_eq!(ended.output.lines().filter(|line| line.starts_with("ok ")).count(), 3, "{ended:?}");
    // The destinations were probed, and nothing was delivered.
    assert!(receiver.received().iter().all(|one| one.request.method == "HEAD"));
    proxy.refuse(true);
    let ended = check();
    assert_eq!((ended.code, ended.errors.lines().count()), (Some(1), 1), "{ended:?}");
    let failed: Vec<&str> = ended.output.lines().filter(|line| line.starts_with("FAILED")).collect();
    let origin = proxy.endpoint_url();
    assert!(failed.len() == 3 && failed.iter().all(|line| line.contains(&origin)), "{failed:#?}");
    // Paths may be secrets.
    assert!(!ended.output.contains(&format!("{origin}/push")), "{ended:?}");
}

/// A stopped server, to try starts with other files.
fn stopped() -> Server {
    let mut server = Server::start_with(Store::Embedded, settings(&pool("")));
    server.stop();
    server
}

/// Expects that a start with this file is refused in one line that contains all of `words`.
fn refuses(server: &mut Server, configuration: &str, words: &[&str]) {
    server.configure(configuration);
    let ended = server.try_verb(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(ended.code.is_some_and(|code| code != 0), "{configuration}\n{ended:?}");
    assert_eq!((ended.output.as_str(), ended.errors.lines().count()), ("", 1), "{configuration}\n{ended:?}");
    print!("{}", ended.errors);
    for word in words {
        assert!(ended.errors.contains(word), "{word} in {ended:?}\n{configuration}");
    }
    assert!(!ended.errors.contains(SECRET), "{ended:?}");
}

#[test]
fn what_cannot_work_refuses_the_start_in_one_line() {
    let mut server = stopped();
    let twice = format!("{}{}", pool(""), pool("[pools.events]\nSyncTrigger = \"f\""));
    let push = |text: &str| pool(&format!("[pools.push_sync]\n{text}"));
    let streams = |text: &str| pool(&format!("[pools.cognito_streams]\n{text}"));
    for (text, words) in [
        (
            push("application_arns = [\"arn:aws:sns:us-east-1:1:topic\"]"),
            vec!["pushSync.applicationArns", "topic"],
        ),
        (
            push(&format!("application_arns = [\"{APPLICATION}\", \"arn:x\"]")),
            vec!["applicationArns.2", "arn:x"],
        ),
        (
            push("application_arns = []\nrole_arn = \"arn:aws:iam::1:user/somebody\""),
            vec!["pushSync.roleArn"],
        ),
        (push("role_arn = \"arn:aws:iam::123456789012:role/r\""), vec!["application_arns", "line 4"]),
        (push("applications = []"), vec!["applications", "line 5"]),
        (streams("stream_name = \"\""), vec!["cognitoStreams.streamName"]),
        (streams("stream_name = \"s\"\nrole_arn = \"nobody\""), vec!["cognitoStreams.roleArn", "nobody"]),
        (
            streams("stream_name = \"s\"\nstreaming_status = \"ON\""),
            vec!["cognitoStreams.streamingStatus", "ON"],
        ),
        (streams("stream_name = \"s\"\nregion = \"x\""), vec!["region", "line 6"]),
        (pool("[pools.events]\nOnLogin = \"f\""), vec!["OnLogin", "SyncTrigger"]),
        (pool("[pools.triggers]\nSyncTrigger = \"f\""), vec!["triggers"]),
        (twice, vec![POOL, "twice"]),
    ] {
        refuses(&mut server, &text, &words);
    }
    // No refused start has changed anything.
    restart_with_nothing(&mut server);
    assert_eq!(events(&server), json!({}));
    let untouched = configuration(&server, POOL);
    assert_eq!((&untouched["PushSync"], &untouched["CognitoStreams"]), (&Value::Null, &Value::Null));
}

fn restart_with_nothing(server: &mut Server) {
    server.configure(&pool(""));
    server.restart();
}

#[test]
fn a_missing_secret_refuses_the_start_and_no_secret_is_printed() {
    let mut server = stopped();
    let short = server.directory().join("short");
    fs::write(&short, "too-short\n").unwrap();
    fs::write(server.directory().join("good"), format!("{SECRET}\n")).unwrap();
    let good = format!(
        "[[push_destinations]]\nname = \"good\"\nurl = \"http://127.0.0.1:1/\"\nsecret_file = \"{DIRECTORY}/good\"\n"
    );
    for kind in ["stream", "trigger", "push"] {
        let table = format!("{kind}_destinations");
        let refused = |text: &str| {
            format!("{good}[[{table}]]\nname = \"here\"\nurl = \"http://127.0.0.1:1/\"\n{text}\n")
        };
        for (text, words) in [
            (refused("secret_env = \"NO_SUCH_SECRET\""), ["NO_SUCH_SECRET", "not set"]),
            (refused(&format!("secret_file = \"{DIRECTORY}/none\"")), ["/none", "here"]),
            (refused(&format!("secret_file = \"{DIRECTORY}/short\"")), ["shorter", "here"]),
            (refused(""), ["secret_env", "secret_file"]),
            (
                refused(&format!("secret_env = \"{VARIABLE}\"\nsecret_file = \"{DIRECTORY}/good\"")),
                ["secret_env", "secret_file"],
            ),
            (refused(&format!("secret_env = \"{VARIABLE}\"\nsecret = \"{SECRET}\"")), ["secret", "line"]),
        ] {
            refuses(&mut server, &text, &words);
        }
    }
    let ended = server.try_verb(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(!ended.errors.contains("too-short"), "{ended:?}");
}
