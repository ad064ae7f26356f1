//! Signatures: every error by the name that SDKs expect, and every change of a signed request refused.

use carryall_acceptance::{Api, Caller, Guest, Request, Response, Server, Signing, Store};
use serde_json::{Value, json};

use crate::on_every_store;

on_every_store!(
    trouble_has_its_name_in_every_service,
    clocks_may_differ_by_five_minutes,
    a_changed_request_is_refused,
    the_scope_must_be_ours,
    urls_signed_ahead_expire,
    a_content_hash_is_checked,
);

/// One signed read per service by this caller, altered by `change`.
fn reads(api: Api, caller: &Caller, seconds_off: i64, change: impl Fn(Request) -> Request) -> [Response; 3] {
    let sync = Request::new("GET", "/identitypools");
    let identity = Request::new("POST", "/")
        .header("X-Amz-Target", "AWSCognitoIdentityService.ListIdentityPools")
        .header("Content-Type", "application/x-amz-json-1.1")
        .body(r#"{"MaxResults":1}"#);
    let sts = Request::new("POST", "/")
        .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        .body("Action=GetCallerIdentity&Version=2011-06-15");
    [("cognito-sync", sync), ("cognito-identity", identity), ("sts", sts)].map(|(service, request)| {
        let signing = Signing::by(caller, service).off_by_seconds(seconds_off);
        api.send(&change(signing.headers(request, api.address)))
    })
}

fn outcomes(answers: &[Response; 3]) -> [(u16, String); 3] {
    answers.each_ref().map(Response::outcome)
}

fn named(sync_and_identity: &str, sts: &str) -> [(u16, String); 3] {
    [(403, sync_and_identity.to_owned()), (400, sync_and_identity.to_owned()), (403, sts.to_owned())]
}

fn trouble_has_its_name_in_every_service(server: &mut Server) {
    let api = server.api();
    let root = server.root();
    assert_eq!(outcomes(&reads(api, &root, 0, |request| request)).map(|(status, _)| status), [200; 3]);

    let unsigned = reads(api, &root, 0, |request| request.without("authorization"));
    assert_eq!(
        outcomes(&unsigned),
        named("MissingAuthenticationTokenException", "MissingAuthenticationToken")
    );

    let stranger = Caller::developer("AKIAUNKNOWNUNKNOWN00", "secret");
    let unknown = reads(api, &stranger, 0, |request| request);
    assert_eq!(outcomes(&unknown), named("UnrecognizedClientException", "InvalidClientTokenId"));

    let impostor = Caller::developer(&root.access_key_id, "guessed");
    let wrong = reads(api, &impostor, 0, |request| request);
    assert_eq!(outcomes(&wrong), named("InvalidSignatureException", "SignatureDoesNotMatch"));
    assert!(wrong[0].message().starts_with("The request signature we calculated does not match"));

    for (seconds, start) in [(-400, "Signature expired:"), (400, "Signature not yet current:")] {
        let late = reads(api, &root, seconds, |request| request);
        assert_eq!(outcomes(&late), named("InvalidSignatureException", "SignatureDoesNotMatch"));
        for answer in &late {
            assert!(answer.text().contains(start), "{start} in {}", answer.text());
        }
    }

    for malformed in [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=x",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
    ] {
        let incomplete =
            reads(api, &root, 0, |request| request.with_changed("authorization", |_| malformed.to_owned()));
        assert_eq!(
            outcomes(&incomplete),
            named("IncompleteSignatureException", "IncompleteSignature"),
            "{malformed}"
        );
    }
}

fn clocks_may_differ_by_five_minutes(server: &mut Server) {
    let (api, root) = (server.api(), server.root());
    for seconds in [-240, 240] {
        let answers = reads(api, &root, seconds, |request| request);
        assert_eq!(outcomes(&answers).map(|(status, _)| status), [200; 3], "{seconds}");
    }
}

fn flip_last(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

fn a_changed_request_is_refused(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    let session = api.session(&guest, "prefs");
    let body = json!({
        "SyncSessionToken": session,
        "RecordPatches": [{ "Op": "replace", "Key": "k", "Value": "w", "SyncCount": 1 }],
    });
    let before = state(api, &guest);
    let signed = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).json(&body));
    let changes: Vec<(&str, Request)> = vec![
        ("the signature", signed.clone().with_changed("authorization", flip_last)),
        ("the date", signed.clone().with_changed("x-amz-date", |date| date.replace('T', "t"))),
        ("a body byte", {
            let mut changed = signed.clone();
            let at = changed.body.iter().rposition(|byte| *byte == b'w').unwrap();
            changed.body[at] = b'x';
            changed
        }),
        ("space after the body", {
            let mut changed = signed.clone();
            changed.body.push(b' ');
            changed
        }),
        ("the dataset", Request { target: guest.dataset("prefz"), ..signed.clone() }),
        (
            "the encoding of the path",
            Request { target: guest.dataset("prefs").replace("%3A", ":"), ..signed.clone() },
        ),
        ("the method", Request { method: "DELETE".to_owned(), ..signed.clone() }),
        ("a query", Request { target: format!("{}?a=b", guest.dataset("prefs")), ..signed.clone() }),
        (
            "the content type",
            signed.clone().with_changed("content-type", |_| "application/x-amz-json-1.1".to_owned()),
        ),
        ("a new x-amz header", signed.clone().header("x-amz-client-context", "e30=")),
        ("the token gone", signed.clone().without("x-amz-security-token")),
        ("the token twice", signed.clone().header("x-amz-security-token", "x")),
        ("the date gone", signed.clone().without("x-amz-date")),
        ("the date twice", signed.clone().header("x-amz-date", "20200101T000000Z")),
        ("the host", signed.clone().header("Host", "carryall.example")),
        ("two authorizations", {
            let second = signed.get("authorization").unwrap().to_owned();
            signed.clone().header("authorization", second)
        }),
        ("host unsigned", signed.clone().with_changed("authorization", |text| text.replace(";host;", ";"))),
    ];
    for (what, request) in changes {
        let answer = api.send(&request);
        assert!(matches!(answer.status, 400 | 403), "{what}: {answer:?} {}", answer.text());
    }
    assert_eq!(state(api, &guest), before, "a changed request did something");
    assert_eq!(api.send(&signed).status, 200, "the unchanged one still works");
}

/// Everything that a request could have changed.
fn state(api: Api, guest: &Guest) -> (Value, Value) {
    let listing = api.list(guest, "prefs");
    let datasets = api.sync(Some(&guest.caller), "GET", &format!("{}/datasets", guest.path()), None).json();
    (json!([listing["DatasetSyncCount"], listing["Records"]]), datasets)
}

fn the_scope_must_be_ours(server: &mut Server) {
    let (api, root) = (server.api(), server.root());
    let request = || Request::new("GET", "/identitypools");
    let elsewhere = Signing::by(&root, "cognito-sync").region("eu-west-1").headers(request(), api.address);
    let answer = api.send(&elsewhere);
    assert_eq!(answer.outcome(), (403, "InvalidSignatureException".to_owned()));
    assert!(answer.message().contains("us-east-1"), "{}", answer.text());
    let other = Signing::by(&root, "cognito-identity").headers(request(), api.address);
    assert_eq!(api.send(&other).outcome(), (403, "InvalidSignatureException".to_owned()));
}

fn urls_signed_ahead_expire(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let target = guest.records("prefs");
    let signed = |seconds_ago: i64, life: u64| {
        let signing = Signing::by(&guest.caller, "cognito-sync").off_by_seconds(-seconds_ago);
        api.send(&signing.query(Request::new("GET", &*target), api.address, life))
    };
    assert_eq!(signed(0, 60).status, 200);
    // A URL is valid as long as it states, not only within the clock's tolerance.
    assert_eq!(signed(900, 3600).status, 200);
    let expired = signed(3600, 900);
    assert_eq!(expired.outcome(), (403, "InvalidSignatureException".to_owned()));
    assert!(expired.message().starts_with("Signature expired:"), "{}", expired.text());
    let early = signed(-900, 60);
    assert_eq!(early.outcome(), (403, "InvalidSignatureException".to_owned()));
    assert!(early.message().starts_with("Signature not yet current:"), "{}", early.text());
}

fn a_content_hash_is_checked(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let body = json!({
        "SyncSessionToken": api.session(&guest, "prefs"),
        "RecordPatches": [{ "Op": "replace", "Key": "k", "Value": "v", "SyncCount": 0 }],
    });
    let request = Request::new("POST", guest.dataset("prefs")).json(&body);
    let signing = Signing::by(&guest.caller, "cognito-sync").content_hash();
    let signed = signing.headers(request, api.address);
    let hash = signed.get("x-amz-content-sha256").unwrap().to_owned();
    assert_eq!(hash.len(), 64);
    let mut other = signed.clone();
    other.body = body.to_string().replace("\"v\"", "\"w\"").into_bytes();
    assert_eq!(api.send(&other).outcome(), (403, "InvalidSignatureException".to_owned()));
    assert_eq!(api.list(&guest, "prefs")["DatasetExists"], false);
    assert_eq!(api.send(&signed).status, 200);
}

#[test]
fn credentials_of_another_server_are_unknown() {
    let (here, there) = (Server::start(Store::Memory), Server::start(Store::Memory));
    let guest = there.api().new_user(&there.root());
    let answer = here.api().sync(Some(&guest.caller), "GET", &guest.records("prefs"), None);
    assert_eq!(answer.outcome(), (403, "UnrecognizedClientException".to_owned()));
}
