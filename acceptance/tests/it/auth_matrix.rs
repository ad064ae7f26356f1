//! Access: every operation with every kind of caller, rendered as one table and compared with
//! `auth_matrix.txt`. `UPDATE_EXPECT=1` rewrites that file for review.

use std::fmt::Write;
use std::path::Path;

use carryall_acceptance::api::{encoded, text};
use carryall_acceptance::{Api, Caller, Connection, Guest, Request, Response, Server, Store};
use serde_json::{Value, json};

/// The resources that an operation is tried on: fresh for every operation, and again after each success,
/// which may have changed them.
struct Target {
    api: Api,
    guest: Guest,
    session: String,
    identity_token: String,
}

impl Target {
    fn new(server: &Server, root: &Caller) -> Self {
        let api = server.api();
        let guest = api.new_user(root);
        api.put(&guest, "prefs", "k", "v", 0);
        let session = api.session(&guest, "prefs");
        let answer = api.identity(None, "GetOpenIdToken", &json!({ "IdentityId": guest.identity })).json();
        Self { api, guest, session, identity_token: text(&answer["Token"]) }
    }

    fn pool(&self) -> String {
        format!("/identitypools/{}", encoded(&self.guest.pool))
    }

    fn subscription(&self) -> String {
        format!("{}/subscriptions/9d15b5f5-3d5a-4ea5-a5e5-1f4a5e1f7f5e", self.guest.dataset("prefs"))
    }
}

type Call = fn(&Target, Option<&Caller>) -> Response;

fn sync(
    target: &Target,
    caller: Option<&Caller>,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Response {
    target.api.sync(caller, method, path, body)
}

/// Every operation of Cognito Sync.
const SYNC: [(&str, Call); 17] = [
    ("BulkPublish", |target, caller| {
        sync(target, caller, "POST", &format!("{}/bulkpublish", target.pool()), None)
    }),
    ("DeleteDataset", |target, caller| sync(target, caller, "DELETE", &target.guest.dataset("prefs"), None)),
    ("DescribeDataset", |target, caller| sync(target, caller, "GET", &target.guest.dataset("prefs"), None)),
    ("DescribeIdentityPoolUsage", |target, caller| sync(target, caller, "GET", &target.pool(), None)),
    ("DescribeIdentityUsage", |target, caller| sync(target, caller, "GET", &target.guest.path(), None)),
    ("GetBulkPublishDetails", |target, caller| {
        sync(target, caller, "POST", &format!("{}/getBulkPublishDetails", target.pool()), None)
    }),
    ("GetCognitoEvents", |target, caller| {
        sync(target, caller, "GET", &format!("{}/events", target.pool()), None)
    }),
    ("GetIdentityPoolConfiguration", |target, caller| {
        sync(target, caller, "GET", &format!("{}/configuration", target.pool()), None)
    }),
    ("ListDatasets", |target, caller| {
        sync(target, caller, "GET", &format!("{}/datasets", target.guest.path()), None)
    }),
    ("ListIdentityPoolUsage", |target, caller| sync(target, caller, "GET", "/identitypools", None)),
    ("ListRecords", |target, caller| sync(target, caller, "GET", &target.guest.records("prefs"), None)),
    ("RegisterDevice", |target, caller| {
        let path = format!("{}/identity/{}/device", target.pool(), encoded(&target.guest.identity));
        sync(target, caller, "POST", &path, Some(&json!({ "Platform": "GCM", "Token": "t" })))
    }),
    ("SetCognitoEvents", |target, caller| {
        let body = json!({ "Events": { "SyncTrigger": "" } });
        sync(target, caller, "POST", &format!("{}/events", target.pool()), Some(&body))
    }),
    ("SetIdentityPoolConfiguration", |target, caller| {
        sync(
            target,
            caller,
            "POST",
            &format!("{}/configuration", target.pool()),
            Some(&json!({ "PushSync": {} })),
        )
    }),
    ("SubscribeToDataset", |target, caller| sync(target, caller, "POST", &target.subscription(), None)),
    ("UnsubscribeFromDataset", |target, caller| sync(target, caller, "DELETE", &target.subscription(), None)),
    ("UpdateRecords", |target, caller| {
        let patch = json!({ "Op": "replace", "Key": "k", "Value": "w", "SyncCount": 1 });
        let body = json!({ "SyncSessionToken": target.session, "RecordPatches": [patch] });
        sync(target, caller, "POST", &target.guest.dataset("prefs"), Some(&body))
    }),
];

fn identity(target: &Target, caller: Option<&Caller>, operation: &str, input: &Value) -> Response {
    target.api.identity(caller, operation, input)
}

fn of_pool(target: &Target) -> Value {
    json!({ "IdentityPoolId": target.guest.pool })
}

fn of_identity(target: &Target) -> Value {
    json!({ "IdentityId": target.guest.identity })
}

fn named_pool(target: &Target) -> Value {
    json!({
        "IdentityPoolId": target.guest.pool, "IdentityPoolName": "renamed", "AllowUnauthenticatedIdentities": true,
    })
}

/// Every implemented operation of Cognito Identity.
const IDENTITY: [(&str, Call); 13] = [
    ("CreateIdentityPool", |target, caller| {
        let input = json!({ "IdentityPoolName": "new", "AllowUnauthenticatedIdentities": false });
        identity(target, caller, "CreateIdentityPool", &input)
    }),
    ("DeleteIdentities", |target, caller| {
        identity(
            target,
            caller,
            "DeleteIdentities",
            &json!({ "IdentityIdsToDelete": [target.guest.identity] }),
        )
    }),
    ("DeleteIdentityPool", |target, caller| identity(target, caller, "DeleteIdentityPool", &of_pool(target))),
    ("DescribeIdentity", |target, caller| identity(target, caller, "DescribeIdentity", &of_identity(target))),
    ("DescribeIdentityPool", |target, caller| {
        identity(target, caller, "DescribeIdentityPool", &of_pool(target))
    }),
    ("GetCredentialsForIdentity", |target, caller| {
        identity(target, caller, "GetCredentialsForIdentity", &of_identity(target))
    }),
    ("GetId", |target, caller| identity(target, caller, "GetId", &of_pool(target))),
    ("GetIdentityPoolRoles", |target, caller| {
        identity(target, caller, "GetIdentityPoolRoles", &of_pool(target))
    }),
    ("GetOpenIdToken", |target, caller| identity(target, caller, "GetOpenIdToken", &of_identity(target))),
    ("ListIdentities", |target, caller| {
        let input = json!({ "IdentityPoolId": target.guest.pool, "MaxResults": 10 });
        identity(target, caller, "ListIdentities", &input)
    }),
    ("ListIdentityPools", |target, caller| {
        identity(target, caller, "ListIdentityPools", &json!({ "MaxResults": 10 }))
    }),
    ("SetIdentityPoolRoles", |target, caller| {
        let input = json!({ "IdentityPoolId": target.guest.pool, "Roles": {} });
        identity(target, caller, "SetIdentityPoolRoles", &input)
    }),
    ("UpdateIdentityPool", |target, caller| {
        identity(target, caller, "UpdateIdentityPool", &named_pool(target))
    }),
];

/// Every implemented operation of STS.
const STS: [(&str, Call); 2] = [
    ("AssumeRoleWithWebIdentity", |target, caller| {
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", "arn:aws:iam::123456789012:role/guests"),
            ("RoleSessionName", "web-identity"),
            ("WebIdentityToken", &target.identity_token),
        ];
        target.api.sts(caller, &form)
    }),
    ("GetCallerIdentity", |target, caller| target.api.sts(caller, &[("Action", "GetCallerIdentity")])),
];

/// Endpoints beside the operations. An opened channel is closed at once.
const LIVE: [(&str, Call); 1] = [("Changes", |target, caller| {
    let request = Request::new("GET", format!("{}/changes", target.guest.dataset("prefs")));
    let request = caller.map_or(request.clone(), |caller| target.api.signed(caller, request));
    Connection::open(target.api.address).and_then(|mut connection| connection.begin(&request)).unwrap()
})];

/// The callers for a given target.
fn callers(server: &Server, target: &Target, fixed: &Fixed) -> Vec<(&'static str, Option<Caller>)> {
    let api = server.api();
    let root = server.root();
    let mut tampered = target.guest.caller.clone();
    tampered.session_token = tampered.session_token.map(|token| {
        let (head, tail) = token.split_at(token.len() - 10);
        format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..])
    });
    vec![
        ("none", None),
        ("unknown key", Some(Caller::developer("AKIAUNKNOWNUNKNOWN00", "secret"))),
        ("wrong secret", Some(Caller::developer(&root.access_key_id, "guessed"))),
        ("tampered token", Some(tampered)),
        ("revoked key", Some(fixed.revoked.clone())),
        ("root key", Some(root)),
        ("developer key", Some(fixed.developer.clone())),
        ("the identity", Some(target.guest.caller.clone())),
        ("its sibling", Some(api.new_guest(&target.guest.pool).caller)),
        ("another pool", Some(fixed.stranger.clone())),
        ("another server", Some(fixed.outsider.clone())),
    ]
}

/// Callers that do not depend on the target.
struct Fixed {
    developer: Caller,
    revoked: Caller,
    stranger: Caller,
    outsider: Caller,
}

impl Fixed {
    fn new(server: &Server, elsewhere: &Server) -> Self {
        let (developer, revoked) = (created_key(server), created_key(server));
        server.verb(&["key", "revoke", &revoked.access_key_id]);
        Self {
            developer,
            revoked,
            stranger: server.api().new_user(&server.root()).caller,
            outsider: elsewhere.api().new_user(&elsewhere.root()).caller,
        }
    }
}

fn created_key(server: &Server) -> Caller {
    let printed = server.verb(&["key", "create", "--output", "json"]);
    let key: Value = serde_json::from_str(&printed).unwrap();
    Caller::developer(&text(&key["AccessKeyId"]), &text(&key["SecretAccessKey"]))
}

/// `ok`, or the status and a short name that the legend explains.
fn cell(answer: &Response) -> String {
    if answer.status == 200 {
        return "ok".to_owned();
    }
    let name = answer.error();
    let short = LEGEND.iter().find(|(_, full)| *full == name).map_or(name.as_str(), |(short, _)| short);
    format!("{} {short}", answer.status)
}

const LEGEND: [(&str, &str); 11] = [
    ("auth", "MissingAuthenticationTokenException"),
    ("key", "UnrecognizedClientException"),
    ("sign", "InvalidSignatureException"),
    ("who", "NotAuthorizedException"),
    ("push", "InvalidConfigurationException"),
    ("input", "InvalidParameterException"),
    ("none", "ResourceNotFoundException"),
    ("conf", "ResourceConflictException"),
    ("auth-", "MissingAuthenticationToken"),
    ("key-", "InvalidClientTokenId"),
    ("sign-", "SignatureDoesNotMatch"),
];

fn row(name: &str, cells: &[String]) -> String {
    let mut line = format!("{name:<30}");
    for cell in cells {
        write!(line, "| {cell:<15}").unwrap();
    }
    line.trim_end().to_owned()
}

fn matrix(server: &Server, elsewhere: &Server) -> String {
    let fixed = Fixed::new(server, elsewhere);
    let root = server.root();
    let mut table =
        String::from("Every operation by every kind of caller. `ok` is 200; else the status and:\n\n");
    for (short, full) in LEGEND {
        writeln!(table, "  {short:<6} {full}").unwrap();
    }
    let services: [(&str, &[(&str, Call)]); 4] =
        [("Cognito Sync", &SYNC), ("Live channels", &LIVE), ("Cognito Identity", &IDENTITY), ("STS", &STS)];
    for (service, operations) in services {
        let names: Vec<String> = callers(server, &Target::new(server, &root), &fixed)
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        write!(table, "\n{}\n{}\n", row(service, &names), "-".repeat(30 + 17 * names.len())).unwrap();
        for (operation, call) in operations {
            let mut target = Target::new(server, &root);
            let mut cells = Vec::new();
            for number in 0..names.len() {
                let caller = callers(server, &target, &fixed).swap_remove(number).1;
                let answer = call(&target, caller.as_ref());
                cells.push(cell(&answer));
                if answer.status == 200 {
                    target = Target::new(server, &root);
                }
            }
            writeln!(table, "{}", row(operation, &cells)).unwrap();
        }
    }
    table
}

#[test]
fn every_operation_answers_every_caller_as_the_table_says() {
    let table = matrix(&Server::start(Store::Embedded), &Server::start(Store::Memory));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/auth_matrix.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    let differing: Vec<String> = table
        .lines()
        .zip(expected.lines())
        .filter(|(now, then)| now != then)
        .map(|(now, then)| format!("expected {then}\n     got {now}"))
        .collect();
    assert!(
        table == expected,
        "the table differs; if that is meant, UPDATE_EXPECT=1 rewrites it\n{}",
        differing.join("\n")
    );
}
