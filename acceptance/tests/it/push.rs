//! Push sync over SNS, with moto as the peer: the notified devices, the messages, and the handling of
//! devices, endpoints and notices that are gone. Registration and subscription by boto3 are in
//! `clients/python/push.py`.

use carryall_acceptance::api::{succeeded, text};
use carryall_acceptance::peers::{Fault, FaultProxy, Moto, until};
use carryall_acceptance::{
    Api, Caller, Guest, Request, Response, Script, Server, ServerSettings, Store, api,
};
use serde_json::{Value, json};

/// The four platforms.
pub(crate) const PLATFORMS: [&str; 4] = ["APNS", "APNS_SANDBOX", "GCM", "ADM"];

/// The settings of a server whose SNS is at `endpoint` and accepts every caller.
fn with_sns(endpoint: &str) -> ServerSettings {
    let anybody = Caller::developer("AKIAANYBODY000000000", "anything");
    ServerSettings::default().acting_as(&anybody).endpoint_of("SNS", endpoint)
}

/// Sets a pool's push and streams as in `body`, and returns the answer.
pub(crate) fn configure(server: &Server, pool: &str, body: &Value) -> Value {
    let target = format!("/identitypools/{}/configuration", api::encoded(pool));
    succeeded(&server.api().sync(Some(&server.root()), "POST", &target, Some(body)))
}

/// The answer of `GetIdentityPoolConfiguration`.
pub(crate) fn configuration(server: &Server, pool: &str) -> Value {
    let target = format!("/identitypools/{}/configuration", api::encoded(pool));
    succeeded(&server.api().sync(Some(&server.root()), "GET", &target, None))
}

/// A guest of a fresh pool that pushes through these applications.
pub(crate) fn pushing_guest(server: &Server, applications: &[&str]) -> Guest {
    let guest = server.api().new_user(&server.root());
    configure(server, &guest.pool, &json!({ "PushSync": { "ApplicationArns": applications } }));
    guest
}

/// Calls `RegisterDevice` and returns any answer.
pub(crate) fn try_register(api: Api, guest: &Guest, platform: &str, token: &str) -> Response {
    let (pool, identity) = (api::encoded(&guest.pool), api::encoded(&guest.identity));
    let body = json!({ "Platform": platform, "Token": token });
    let target = format!("/identitypools/{pool}/identity/{identity}/device");
    api.sync(Some(&guest.caller), "POST", &target, Some(&body))
}

/// Calls `RegisterDevice`, which has to succeed.
pub(crate) fn register(api: Api, guest: &Guest, platform: &str, token: &str) -> String {
    text(&succeeded(&try_register(api, guest, platform, token))["DeviceId"])
}

fn subscription(api: Api, method: &str, guest: &Guest, dataset: &str, device: &str) -> Response {
    let target = format!("{}/subscriptions/{device}", guest.dataset(dataset));
    api.sync(Some(&guest.caller), method, &target, None)
}

/// Calls `SubscribeToDataset`, which has to succeed.
pub(crate) fn subscribe(api: Api, guest: &Guest, dataset: &str, device: &str) {
    succeeded(&subscription(api, "POST", guest, dataset, device));
}

/// Registers a device and subscribes it to an existing dataset.
pub(crate) fn subscribed(api: Api, guest: &Guest, platform: &str, token: &str, dataset: &str) -> String {
    let device = register(api, guest, platform, token);
    subscribe(api, guest, dataset, &device);
    device
}

/// Puts a record as `device`.
fn put_as(api: Api, guest: &Guest, dataset: &str, key: &str, device: &str) {
    let patch = json!([{ "Op": "replace", "Key": key, "Value": "v", "SyncCount": 0 }]);
    let session = api.session(guest, dataset);
    let body = json!({ "SyncSessionToken": session, "RecordPatches": patch, "DeviceId": device });
    succeeded(&api.sync(Some(&guest.caller), "POST", &guest.dataset(dataset), Some(&body)));
}

fn delete(api: Api, guest: &Guest, dataset: &str) {
    succeeded(&api.sync(Some(&guest.caller), "DELETE", &guest.dataset(dataset), None));
}

/// The value of a metric; 0 if it does not exist yet.
pub(crate) fn metric(server: &Server, name: &str) -> u64 {
    let page = server.api().send(&Request::new("GET", "/metrics")).text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |number| number.parse().unwrap())
}

/// The number of events for devices with this outcome: `delivered`, `dropped`, `failed`, `parked`.
fn ended(server: &Server, outcome: &str) -> u64 {
    metric(server, &format!("carryall_deliveries_total{{sink=\"device\",outcome=\"{outcome}\"}}"))
}

/// Waits until no event of the pool is waiting.
pub(crate) fn wait_until_nothing_waits(server: &Server, pool: &str) {
    until("the outbox is empty", || (events_waiting(server, pool) == 0).then_some(()));
}

fn events_waiting(server: &Server, pool: &str) -> u64 {
    let shown = server.verb(&["pool", "show", pool, "--output", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    shown["EventsWaiting"].as_u64().unwrap()
}

/// The dataset counts that were sent to a device's endpoint, oldest first.
fn counts(moto: &Moto, application: &str, token: &str) -> Vec<String> {
    let endpoints = moto.endpoints(application);
    let endpoint = endpoints.iter().find(|endpoint| endpoint.token == token);
    let messages = endpoint.map(|endpoint| endpoint.messages.clone()).unwrap_or_default();
    messages.iter().map(|message| text(&told(message)["syncCount"])).collect()
}

/// The five members of a message, as its `default` has them.
fn told(message: &str) -> Value {
    let envelope: Value = serde_json::from_str(message).unwrap();
    serde_json::from_str(&text(&envelope["default"])).unwrap()
}

fn on_both_stores(boto3_and_moto: impl Fn(&Server, &Moto)) {
    let moto = Moto::shared();
    for store in [Store::Embedded, Store::Memory] {
        boto3_and_moto(&Server::start_with(store, with_sns(&moto.endpoint_url())), moto);
    }
}

#[test]
fn boto3_registers_and_subscribes_devices() {
    on_both_stores(|server, moto| {
        Script::Python("push.py").run_with(server, &[("CARRYALL_TEST_SNS", &moto.endpoint_url())]);
    });
}

#[test]
fn each_platform_is_told_in_the_form_that_its_clients_parse() {
    on_both_stores(|server, moto| {
        let name = format!("forms-{}", server.address().port());
        let applications = PLATFORMS.map(|platform| moto.create_application(platform, &name));
        let guest = pushing_guest(server, &applications.each_ref().map(String::as_str));
        let api = server.api();
        api.put(&guest, "my.prefs", "k", "v", 0);
        for platform in PLATFORMS {
            subscribed(api, &guest, platform, &format!("{name} {platform}"), "my.prefs");
        }
        api.put(&guest, "my.prefs", "k", "w", 1);
        let five = json!({
            "source": "cognito-sync", "identityPoolId": guest.pool, "identityId": guest.identity,
            "datasetName": "my.prefs", "syncCount": "2",
        });
        for (platform, application) in PLATFORMS.into_iter().zip(&applications) {
            let endpoint = moto.endpoints(application).remove(0).arn;
            let messages = moto.wait_for_messages(&endpoint, 1);
            let envelope: Value = serde_json::from_str(&messages[0]).unwrap();
            let members = envelope.as_object().unwrap();
            assert!(members.values().all(Value::is_string), "{envelope}");
            assert_eq!(members.keys().filter(|key| *key != "default").collect::<Vec<_>>(), [platform]);
            assert_eq!(told(&messages[0]), five);
            let inner: Value = serde_json::from_str(&text(&envelope[platform])).unwrap();
            let expected = match platform {
                "GCM" | "ADM" => json!({ "data": five }),
                // No alert, no badge, no sound: the user sees nothing.
                _ => json!({ "aps": { "content-available": 1 }, "data": five }),
            };
            assert_eq!(inner, expected);
        }
        until("all four are counted", || (ended(server, "delivered") == 4).then_some(()));
    });
}

#[test]
fn every_subscribed_device_but_the_writers_hears_of_a_change_and_nobody_else() {
    let moto = Moto::shared();
    let server = Server::start_with(Store::Embedded, with_sns(&moto.endpoint_url()));
    let application = moto.create_application("GCM", "who-hears");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    let sibling = api.new_guest(&guest.pool);
    for (one, dataset) in [(&guest, "prefs"), (&guest, "other"), (&sibling, "prefs")] {
        api.put(one, dataset, "k", "v", 0);
    }
    let phone = subscribed(api, &guest, "GCM", "wh phone", "prefs");
    let tablet = subscribed(api, &guest, "GCM", "wh tablet", "prefs");
    register(api, &guest, "GCM", "wh unsubscribed");
    subscribed(api, &guest, "GCM", "wh of another dataset", "other");
    subscribed(api, &sibling, "GCM", "wh of another identity", "prefs");

    put_as(api, &guest, "prefs", "by the phone", &phone);
    put_as(api, &guest, "prefs", "by a device never registered", "somebody");
    put_as(api, &guest, "prefs", "by the tablet", &tablet);
    api.put(&guest, "prefs", "by no device", "v", 0);
    // A refused update and one without patches change nothing, so no device is notified.
    let stale = json!([{ "Op": "replace", "Key": "k", "Value": "v", "SyncCount": 77 }]);
    assert_eq!(api.update(&guest, "prefs", &stale).status, 409);
    succeeded(&api.update(&guest, "prefs", &json!([])));

    wait_until_nothing_waits(&server, &guest.pool);
    let counts = |token: &str| counts(moto, &application, token);
    assert_eq!(counts("wh phone"), ["3", "4", "5"]);
    assert_eq!(counts("wh tablet"), ["2", "3", "5"]);
    for token in ["wh unsubscribed", "wh of another dataset", "wh of another identity"] {
        assert_eq!(counts(token), [""; 0], "{token}");
    }
    assert_eq!(ended(&server, "delivered"), 6);
}

#[test]
fn a_deletion_is_told_too_and_subscriptions_outlive_it() {
    on_both_stores(|server, moto| {
        let name = format!("outlive-{}", server.address().port());
        let application = moto.create_application("GCM", &name);
        let guest = pushing_guest(server, &[&application]);
        let api = server.api();
        api.put(&guest, "prefs", "k", "v", 0);
        let (stays, leaves) = (format!("{name} stays"), format!("{name} leaves"));
        subscribed(api, &guest, "GCM", &stays, "prefs");
        let leaving = subscribed(api, &guest, "GCM", &leaves, "prefs");
        let delivered = |count| {
            until("the notices are delivered", || (ended(server, "delivered") == count).then_some(()));
        };
        delete(api, &guest, "prefs");
        delivered(2);
        // Counts continue after a deletion.
        api.put(&guest, "prefs", "k", "again", 0);
        delivered(4);
        succeeded(&subscription(api, "DELETE", &guest, "prefs", &leaving));
        api.put(&guest, "prefs", "k", "once more", 3);
        delivered(5);
        assert_eq!(counts(moto, &application, &stays), ["2", "3", "4"]);
        assert_eq!(counts(moto, &application, &leaves), ["2", "3"]);
    });
}

#[test]
fn a_device_whose_endpoint_is_dead_is_left_alone_until_it_registers_again() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("APNS", "dead");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    let device = subscribed(api, &guest, "APNS", "dead token", "prefs");
    subscribed(api, &guest, "APNS", "dead neighbour", "prefs");
    let endpoint_of = |token: &str| {
        let endpoints = moto.endpoints(&application);
        endpoints.into_iter().find(|endpoint| endpoint.token == token).unwrap().arn
    };
    let disabled = || metric(&server, "carryall_devices_disabled_total");

    moto.disable_endpoint(&endpoint_of("dead token"));
    api.put(&guest, "prefs", "k", "v", 1);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!((sns.count("Publish"), disabled(), ended(&server, "parked")), (2, 1, 0));
    api.put(&guest, "prefs", "k", "v", 2);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!((sns.count("Publish"), disabled()), (3, 1), "the dead one is not tried again");

    assert_eq!(register(api, &guest, "APNS", "dead token"), device);
    api.put(&guest, "prefs", "k", "v", 3);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(counts(moto, &application, "dead token"), ["4"], "its subscription was kept");

    moto.delete_endpoint(&endpoint_of("dead token"));
    api.put(&guest, "prefs", "k", "v", 4);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(disabled(), 2);
    assert_eq!(register(api, &guest, "APNS", "dead token"), device);
    api.put(&guest, "prefs", "k", "v", 5);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(counts(moto, &application, "dead token"), ["6"]);
    assert_eq!(counts(moto, &application, "dead neighbour"), ["2", "3", "4", "5", "6"]);
    assert!(!server.log().contains("dead token"), "a token is nobody's to read");
}

#[test]
fn a_deleted_identitys_devices_hear_nothing_more() {
    let moto = Moto::shared();
    let server = Server::start_with(Store::Embedded, with_sns(&moto.endpoint_url()));
    let application = moto.create_application("GCM", "deleted-identity");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    let device = subscribed(api, &guest, "GCM", "of the deleted", "prefs");
    let input = json!({ "IdentityIdsToDelete": [guest.identity] });
    succeeded(&api.identity(Some(&server.root()), "DeleteIdentities", &input));
    // Its credentials still work until they expire; writes under them reach no device.
    let count = api.list(&guest, "prefs")["DatasetSyncCount"].as_u64().unwrap();
    api.put(&guest, "prefs", "k", "v", count);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(counts(moto, &application, "of the deleted"), [""; 0]);
    let again = subscription(api, "POST", &guest, "prefs", &device);
    assert_eq!(again.outcome(), (404, "ResourceNotFoundException".to_owned()));
}

#[test]
fn notices_that_wait_are_dropped_when_the_pool_has_no_push_any_more() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "no-more");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    let device = subscribed(api, &guest, "GCM", "no more", "prefs");
    sns.refuse(true);
    api.put(&guest, "prefs", "k", "v", 1);
    until("the delivery failed", || (ended(&server, "failed") >= 1).then_some(()));
    assert_eq!(events_waiting(&server, &guest.pool), 1);
    configure(&server, &guest.pool, &json!({ "PushSync": {} }));
    wait_until_nothing_waits(&server, &guest.pool);
    sns.refuse(false);
    assert_eq!((ended(&server, "dropped"), ended(&server, "delivered")), (1, 0));
    api.put(&guest, "prefs", "k", "v", 2);
    assert_eq!(events_waiting(&server, &guest.pool), 0, "a pool without push makes no events");

    // The devices were kept: push that is set again reaches them.
    configure(&server, &guest.pool, &json!({ "PushSync": { "ApplicationArns": [application] } }));
    assert_eq!(register(api, &guest, "GCM", "no more"), device);
    api.put(&guest, "prefs", "k", "v", 3);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(counts(moto, &application, "no more"), ["4"]);
}

#[test]
fn a_notice_outlives_the_death_of_the_server_while_its_peer_is_away() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let mut server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "outlives");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "outlives", "prefs");
    sns.refuse(true);
    api.put(&guest, "prefs", "k", "v", 1);
    until("the delivery failed", || (ended(&server, "failed") >= 1).then_some(()));
    api.put(&guest, "prefs", "k", "v", 2);
    server.kill();
    server.restart();
    assert_eq!(events_waiting(&server, &guest.pool), 2);
    sns.refuse(false);
    wait_until_nothing_waits(&server, &guest.pool);
    let counts = counts(moto, &application, "outlives");
    println!("counts told after the restart, of 2 and 3: {counts:?}");
    assert!(counts == ["3"] || counts == ["2", "3"], "{counts:?}");
}

#[test]
fn a_notice_that_was_on_its_way_when_the_server_died_is_sent_again_at_once() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let mut server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "on-its-way");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "on its way", "prefs");
    sns.set_for_next(1, "Publish", Fault::Silence);
    api.put(&guest, "prefs", "k", "v", 1);
    sns.wait_for("Publish", 1);
    server.kill();
    server.restart();
    // The dead process's lease of 60 seconds is not waited for.
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(counts(moto, &application, "on its way"), ["2"]);
}

#[test]
fn a_registration_while_the_push_service_is_away_may_be_repeated_and_stores_nothing() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "away");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    sns.refuse(true);
    let refused = try_register(api, &guest, "GCM", "of the away");
    assert_eq!(refused.outcome(), (429, "TooManyRequestsException".to_owned()));
    assert!(refused.message().contains("try again"), "{}", refused.message());
    until("the log says why", || server.log().contains("CreatePlatformEndpoint").then_some(()));
    assert!(!server.log().contains("of the away"), "a token is nobody's to read");
    sns.refuse(false);
    assert_eq!(moto.endpoints(&application), []);
    register(api, &guest, "GCM", "of the away");
    assert_eq!(moto.endpoints(&application).len(), 1);
}

#[test]
fn an_application_that_is_gone_stops_nobody_and_is_named_in_the_log() {
    let moto = Moto::shared();
    let server = Server::start_with(Store::Embedded, with_sns(&moto.endpoint_url()));
    let application = moto.create_application("GCM", "gone");
    let guest = pushing_guest(&server, &[&application]);
    moto.delete_application(&application);
    let refused = try_register(server.api(), &guest, "GCM", "of the gone");
    assert_eq!(refused.outcome(), (400, "InvalidConfigurationException".to_owned()));
    assert!(refused.message().contains("platform application"), "{}", refused.message());
    until("the log says why", || server.log().contains("PlatformApplication does not exist").then_some(()));
    server.api().put(&guest, "prefs", "k", "v", 0);
}

/// SNS's refusal of a message for a disabled endpoint, after a delay.
fn endpoint_disabled_later(milliseconds: u64) -> Fault {
    match Fault::xml_error(400, "EndpointDisabled") {
        Fault::Answer(answer) => Fault::Answer(answer.after_milliseconds(milliseconds)),
        other => other,
    }
}

#[test]
fn a_device_that_registers_again_while_it_is_found_dead_stays_alive_and_hears_of_the_change() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "raced");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    let device = subscribed(api, &guest, "GCM", "raced", "prefs");
    sns.set_for_next(1, "Publish", endpoint_disabled_later(500));
    api.put(&guest, "prefs", "k", "v", 1);
    sns.wait_for("Publish", 1);
    assert_eq!(register(api, &guest, "GCM", "raced"), device);
    wait_until_nothing_waits(&server, &guest.pool);
    api.put(&guest, "prefs", "k", "v", 2);
    wait_until_nothing_waits(&server, &guest.pool);
    let counts = counts(moto, &application, "raced");
    assert_eq!(counts.last().map(String::as_str), Some("3"), "it still gets notices");
    assert_eq!(counts, ["2", "3"], "it gets the change that found it dead too");
    assert_eq!(metric(&server, "carryall_devices_disabled_total"), 0);
}

#[test]
fn what_the_push_service_says_of_a_registration_becomes_a_refusal_that_fits() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "says");
    let guest = pushing_guest(&server, &[&application]);
    let register = || try_register(server.api(), &guest, "GCM", "says").outcome();
    let create = "CreatePlatformEndpoint";
    for (fault, status, name) in [
        (Fault::xml_error(400, "Throttling"), 429, "TooManyRequestsException"),
        (Fault::xml_error(500, "InternalError"), 429, "TooManyRequestsException"),
        (Fault::HangUp, 429, "TooManyRequestsException"),
        (Fault::LoseAnswer, 429, "TooManyRequestsException"),
        (Fault::xml_error(400, "InvalidParameter"), 400, "InvalidParameterException"),
        (Fault::xml_error(403, "AuthorizationError"), 400, "InvalidConfigurationException"),
        (Fault::xml_error(404, "NotFound"), 400, "InvalidConfigurationException"),
    ] {
        sns.set_for_next(1, create, fault.clone());
        assert_eq!(register(), (status, name.to_owned()), "{fault:?}");
    }
    // The lost answer was of a call that created the endpoint, which is found now.
    assert_eq!(register(), (200, String::new()));
    assert_eq!(moto.endpoints(&application).len(), 1);
    // An endpoint that is deleted between its creation and its repair is created once more.
    sns.set_for_next(1, "GetEndpointAttributes", Fault::xml_error(404, "NotFound"));
    let before = sns.count(create);
    assert_eq!(register(), (200, String::new()));
    assert_eq!(sns.count(create) - before, 2);
}

#[test]
fn many_registrations_of_one_token_at_once_make_one_device() {
    let moto = Moto::shared();
    let server = Server::start_with(Store::Embedded, with_sns(&moto.endpoint_url()));
    let application = moto.create_application("GCM", "at-once");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    register(api, &guest, "GCM", "another at once");
    let devices: Vec<String> = std::thread::scope(|scope| {
        let one = || register(api, &guest, "GCM", "at once");
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(devices.iter().all(|device| *device == devices[0]), "{devices:?}");
    assert_eq!(moto.endpoints(&application).len(), 2);
}

#[test]
fn a_delivery_that_fails_is_made_again_and_only_a_lost_answer_doubles_it() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "again");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "again", "prefs");
    let faults = [
        (Fault::xml_error(400, "Throttling"), 1),
        (Fault::xml_error(500, "InternalError"), 1),
        (Fault::HangUp, 1),
        (Fault::xml_error(403, "AuthorizationError"), 1),
        (Fault::LoseAnswer, 2),
    ];
    let (mut expected, mut count) = (Vec::new(), 1);
    for (fault, copies) in faults {
        sns.set_for_next(1, "Publish", fault);
        api.put(&guest, "prefs", "k", "v", count);
        count += 1;
        expected.extend(std::iter::repeat_n(count.to_string(), copies));
        wait_until_nothing_waits(&server, &guest.pool);
    }
    let told = counts(moto, &application, "again");
    println!("counts told under five faults: {told:?}");
    assert_eq!(told, expected);
    assert_eq!((ended(&server, "failed"), ended(&server, "delivered")), (5, 5));
}

#[test]
fn a_notice_that_the_push_service_refuses_waits_for_an_operator_and_holds_up_its_device_alone() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "poisoned");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "poisoned", "prefs");
    sns.set_for_next(1, "Publish", Fault::xml_error(400, "InvalidParameter"));
    api.put(&guest, "prefs", "k", "v", 1);
    until("the notice is parked", || (ended(&server, "parked") == 1).then_some(()));
    subscribed(api, &guest, "GCM", "poisoned neighbour", "prefs");
    api.put(&guest, "prefs", "k", "v", 2);
    until("the neighbour gets its notice", || (ended(&server, "delivered") == 1).then_some(()));
    assert_eq!(counts(moto, &application, "poisoned"), [""; 0]);

    let listed: Value = serde_json::from_str(&server.verb(&["outbox", "list", "--output", "json"])).unwrap();
    let parked = listed["Parked"].as_array().unwrap();
    assert_eq!(parked.len(), 1, "{listed}");
    assert!(text(&parked[0]["Trouble"]).contains("InvalidParameter"), "{listed}");
    server.verb(&["outbox", "retry", "--all"]);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(counts(moto, &application, "poisoned").last().map(String::as_str), Some("3"));
    assert_eq!(counts(moto, &application, "poisoned neighbour"), ["3"]);
}

#[test]
fn notices_of_a_pool_go_with_the_pool() {
    let moto = Moto::shared();
    let sns = FaultProxy::before(moto.address());
    let server = Server::start_with(Store::Embedded, with_sns(&sns.endpoint_url()));
    let application = moto.create_application("GCM", "deleted-pool");
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "deleted pool", "prefs");
    sns.set_for_next(1, "Publish", Fault::xml_error(400, "InvalidParameter"));
    api.put(&guest, "prefs", "k", "v", 1);
    let parked = || {
        let listed = server.verb(&["outbox", "list", "--output", "json"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        listed["Parked"].as_array().unwrap().len()
    };
    until("the notice is parked", || (parked() == 1).then_some(()));
    let input = json!({ "IdentityPoolId": guest.pool });
    assert_eq!(api.identity(Some(&server.root()), "DeleteIdentityPool", &input).status, 200);
    assert_eq!(parked(), 0);
    server.verb(&["outbox", "retry", "--all"]);
    assert_eq!(counts(moto, &application, "deleted pool"), [""; 0]);
    assert_eq!(sns.count("Publish"), 1);
}
