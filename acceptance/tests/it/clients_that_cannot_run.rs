//! Replays of clients that have no runtime here, byte for byte where it matters: the managers for Android,
//! iOS, .NET and Unity, browsers, and SDKs that omit headers.

use carryall_acceptance::api::{succeeded, text};
use carryall_acceptance::{Api, Connection, Guest, Request, Response, Server, Signing};
use serde_json::{Value, json};

use crate::on_every_store;

on_every_store!(
    android_signs_little_and_reads_members_without_asking,
    android_finds_the_date_by_its_exact_spelling_and_the_error_in_the_body,
    ios_sends_its_session_again_after_a_conflict,
    ios_patches_a_new_key_with_the_datasets_count,
    dotnet_asks_for_a_thousand_and_matches_the_message,
    unity_leaves_colons_as_they_are,
    unity_deletes_with_a_post,
    unity_gets_with_a_body,
    posts_without_length_and_type_are_understood,
    browsers_may_ask_before_they_call,
    browsers_may_read_what_they_need,
    dates_arrive_in_every_notation,
);

const MANAGER_PAGE: &str = "maxResults=1024";

fn replace(key: &str, value: &str, count: u64) -> Value {
    json!({ "Op": "replace", "Key": key, "Value": value, "SyncCount": count })
}

/// Signs `host` and `x-amz-*` only, then adds the headers that Android sends unsigned.
fn android(api: Api, guest: &Guest, method: &str, target: &str, body: &str) -> Response {
    let request = Request::new(method, target).body(body);
    let signed = api.signed(&guest.caller, request);
    let signed = signed
        .header("Content-Type", "application/x-amz-json-1.1")
        .header("User-Agent", "aws-sdk-android/2.6.0 CognitoSyncManager/2.0")
        .header("Accept-Encoding", "identity");
    api.send(&signed)
}

fn android_signs_little_and_reads_members_without_asking(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    for exists in [false, true] {
        let target = format!("{}?lastSyncCount=0&{MANAGER_PAGE}", guest.records("prefs"));
        let page = succeeded(&android(api, &guest, "GET", &target, ""));
        // Android unboxes these: an absent member ends the app.
        assert!(page["DatasetSyncCount"].is_u64(), "{page}");
        assert_eq!(page["DatasetExists"], exists, "{page}");
        assert_eq!(page["DatasetDeletedAfterRequestedSyncCount"], false, "{page}");
        assert!(page["Records"].is_array(), "{page}");
        assert!(page["SyncSessionToken"].is_string(), "{page}");
        let device = "9d15b5f5-3d5a-4ea5-a5e5-1f4a5e1f7f5e";
        let patch = json!({
            "Op": "replace", "Key": format!("k-{exists}"), "Value": "v", "SyncCount": 0,
            "DeviceLastModifiedDate": 1_412_974_057,
        });
        let body = json!({
            "SyncSessionToken": page["SyncSessionToken"], "RecordPatches": [patch], "DeviceId": device,
        });
        let answer = succeeded(&android(api, &guest, "POST", &guest.dataset("prefs"), &body.to_string()));
        let record = &answer["Records"][0];
        assert_eq!(record["LastModifiedBy"], device);
        assert!(
            record["LastModifiedDate"].is_number() && record["DeviceLastModifiedDate"].is_number(),
            "{record}"
        );
    }
    let gone = android(api, &guest, "DELETE", &guest.dataset("none"), "");
    assert_eq!(gone.outcome(), (404, "ResourceNotFoundException".to_owned()));
}

fn android_finds_the_date_by_its_exact_spelling_and_the_error_in_the_body(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let target = format!("{}?lastSyncCount=5", guest.records("prefs"));
    api.put(&guest, "prefs", "k", "v", 0);
    let answer = android(api, &guest, "GET", &target, "");
    // Header names may arrive in a case other than the documented one. Android's plain map does not find them
    // then, and it reads the name from the body.
    assert_eq!(answer.get("x-amzn-errortype"), Some("InvalidParameterException:"));
    assert!(answer.get_as_spelled("Date").is_some_and(|date| date.ends_with(" GMT")), "{:?}", answer.headers);
    assert!(answer.get("x-amzn-requestid").is_some_and(|id| !id.is_empty()));
    assert_eq!(answer.json()["__type"], "InvalidParameterException");
    assert_eq!(answer.json()["message"], "No such SyncCount: 5 exists for this Dataset");
    let fine = android(api, &guest, "GET", &guest.records("prefs"), "");
    assert_eq!(fine.get("x-amzn-errortype"), None, "iOS takes the header for an error on a success too");
    assert_eq!(fine.get("content-type"), Some("application/json"));
}

fn ios_sends_its_session_again_after_a_conflict(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let list = |query: &str| {
        let target = format!("{}?{query}", guest.records("prefs"));
        succeeded(&android(api, &guest, "GET", &target, ""))
    };
    let push = |session: &Value, patch: Value| {
        let body = json!({ "SyncSessionToken": session, "RecordPatches": [patch] });
        android(api, &guest, "POST", &guest.dataset("prefs"), &body.to_string())
    };
    let first = list("lastSyncCount=0");
    let session = text(&first["SyncSessionToken"]);
    api.put(&guest, "prefs", "theme", "other device", 0);
    let conflict = push(&first["SyncSessionToken"], replace("theme", "mine", 0));
    assert_eq!(conflict.outcome(), (409, "ResourceConflictException".to_owned()));
    let again =
        list(&format!("lastSyncCount=0&syncSessionToken={}", carryall_acceptance::api::encoded(&session)));
    assert_eq!(again["Records"][0]["Value"], "other device");
    succeeded(&push(&again["SyncSessionToken"], replace("theme", "mine", 1)));
}

fn ios_patches_a_new_key_with_the_datasets_count(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "a", "1", 0);
    api.put(&guest, "prefs", "b", "1", 0);
    api.put(&guest, "prefs", "new", "1", 2);
    assert_eq!(api.list(&guest, "prefs")["DatasetSyncCount"], 3);
}

fn dotnet_asks_for_a_thousand_and_matches_the_message(server: &mut Server) {
    let api = server.api();
    let root = server.root();
    let guest = api.new_user(&root);
    let listing = android(api, &guest, "GET", &format!("{}?maxResults=1000", guest.records("prefs")), "");
    let listing = succeeded(&listing);
    assert!(listing["Records"].is_array() && listing["MergedDatasetNames"].is_array(), "{listing}");
    let datasets = android(api, &guest, "GET", &format!("{}/datasets?maxResults=1000", guest.path()), "");
    assert!(succeeded(&datasets)["Datasets"].is_array());
    let pools = succeeded(&api.sync(Some(&root), "GET", "/identitypools?maxResults=1000", None));
    assert!(pools["IdentityPoolUsages"].is_array());
    assert_eq!(pools["MaxResults"], 1000);
    api.put(&guest, "prefs", "k", "v", 0);
    let conflict = api.update(&guest, "prefs", &json!([replace("k", "w", 0)]));
    assert_eq!(conflict.status, 409);
    assert!(conflict.message().starts_with("Current SyncCount for:"), "{}", conflict.text());
}

/// The dataset's path with unencoded colons in the ids.
fn with_raw_colons(guest: &Guest) -> String {
    format!("/identitypools/{}/identities/{}/datasets/prefs", guest.pool, guest.identity)
}

fn unity_leaves_colons_as_they_are(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let body =
        json!({ "SyncSessionToken": api.session(&guest, "prefs"), "RecordPatches": [replace("k", "v", 0)] });
    succeeded(&api.sync(Some(&guest.caller), "POST", &with_raw_colons(&guest), Some(&body)));
    let target = format!("{}/records?{MANAGER_PAGE}", with_raw_colons(&guest));
    let listing = succeeded(&api.sync(Some(&guest.caller), "GET", &target, None));
    assert_eq!(listing["Records"][0]["Value"], "v");
}

fn unity_deletes_with_a_post(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    let request = Request::new("POST", with_raw_colons(&guest)).body("{}");
    let signed = Signing::by(&guest.caller, "cognito-sync").method("DELETE").headers(request, api.address);
    let signed = signed
        .header("X-HTTP-Method-Override", "DELETE")
        .header("Content-Type", "application/x-amz-json-1.1");
    let answer = succeeded(&api.send(&signed));
    assert_eq!(answer["Dataset"]["NumRecords"], 1);
    assert_eq!(api.list(&guest, "prefs")["DatasetExists"], false);
}

fn unity_gets_with_a_body(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let request = Request::new("GET", format!("{}/records", with_raw_colons(&guest))).body("{}");
    let signed = Signing::by(&guest.caller, "cognito-sync").content_hash().headers(request, api.address);
    let signed = signed.header("Content-Type", "application/x-amz-json-1.1");
    assert_eq!(succeeded(&api.send(&signed))["DatasetExists"], false);
}

fn posts_without_length_and_type_are_understood(server: &mut Server) {
    let api = server.api();
    let root = server.root();
    let guest = api.new_user(&root);
    let target =
        format!("/identitypools/{}/getBulkPublishDetails", carryall_acceptance::api::encoded(&guest.pool));
    let signed = api.signed(&root, Request::new("POST", target));
    let head = String::from_utf8(signed.head(api.address)).unwrap().replace("Content-Length: 0\r\n", "");
    let mut connection = Connection::open(api.address).unwrap();
    connection.send(head.as_bytes()).unwrap();
    let answer = connection.answer().unwrap();
    assert_eq!(succeeded(&answer)["BulkPublishStatus"], "NOT_STARTED");
    // The connection stays usable.
    let again = connection.exchange(&api.signed(&guest.caller, Request::new("GET", guest.records("prefs"))));
    assert_eq!(again.unwrap().status, 200);
}

fn browsers_may_ask_before_they_call(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let asked =
        "authorization,content-type,x-amz-content-sha256,x-amz-date,x-amz-security-token,x-amz-user-agent";
    for (target, method) in [
        (guest.records("prefs"), "GET"),
        (guest.dataset("prefs"), "POST"),
        (guest.dataset("prefs"), "DELETE"),
        ("/".to_owned(), "POST"),
    ] {
        let request = Request::new("OPTIONS", &*target)
            .header("Origin", "https://app.example")
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", asked);
        let answer = api.send(&request);
        assert!(matches!(answer.status, 200 | 204), "{target}: {answer:?}");
        let allowed = |header: &str| answer.get(header).unwrap_or_default().to_ascii_lowercase();
        let origin = allowed("access-control-allow-origin");
        assert!(origin == "*" || origin == "https://app.example", "{answer:?}");
        assert!(allowed("access-control-allow-methods").contains(&method.to_ascii_lowercase()), "{answer:?}");
        let headers = allowed("access-control-allow-headers");
        // `*` would not cover `authorization`.
        for name in asked.split(',') {
            assert!(headers.contains(name), "{name} in {answer:?}");
        }
    }
}

fn browsers_may_read_what_they_need(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let good = Request::new("GET", guest.records("prefs"));
    let bad = Request::new("GET", guest.dataset("none"));
    for (request, status) in [(good, 200), (bad, 404)] {
        let signed = api.signed(&guest.caller, request).header("Origin", "https://app.example");
        let answer = api.send(&signed);
        assert_eq!(answer.status, status);
        let origin = answer.get("access-control-allow-origin").unwrap_or_default();
        assert!(origin == "*" || origin == "https://app.example", "{answer:?}");
        let exposed = answer.get("access-control-expose-headers").unwrap_or_default().to_ascii_lowercase();
        for name in ["x-amzn-errortype", "x-amzn-requestid", "date"] {
            assert!(exposed.contains(name), "{name} in {answer:?}");
        }
    }
}

fn dates_arrive_in_every_notation(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    for (index, (given, expected)) in [
        ("1412974057", 1_412_974_057.0),
        ("1.412974057151E9", 1_412_974_057.151),
        ("1412974057.5", 1_412_974_057.5),
    ]
    .into_iter()
    .enumerate()
    {
        let session = api.session(&guest, "prefs");
        let body = format!(
            r#"{{"SyncSessionToken":"{session}","RecordPatches":[{{"Op":"replace","Key":"k{index}","Value":"v","SyncCount":0,"DeviceLastModifiedDate":{given}}}]}}"#
        );
        let answer = succeeded(&android(api, &guest, "POST", &guest.dataset("prefs"), &body));
        let date = answer["Records"][0]["DeviceLastModifiedDate"].as_f64().unwrap();
        assert!((date - expected).abs() < 0.000_5, "{given} came back as {date}");
    }
    let listing = api.sync(Some(&guest.caller), "GET", &guest.records("prefs"), None).text();
    let dates: Vec<&str> =
        listing.split("Date\":").skip(1).map(|rest| rest.split([',', '}']).next().unwrap()).collect();
    assert_eq!(dates.len(), 6, "two for each record: {listing}");
    let plain = |date: &&str| date.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    assert!(dates.iter().all(plain), "dates go out as plain decimals: {dates:?}");
}
