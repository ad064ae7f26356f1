//! Calls as a client without an SDK would make them: signed, sent over a fresh connection, and answered in
//! any way. The steps that every test needs (a pool, a guest, a write) are here too.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::caller::Caller;
use crate::http::{Connection, Request, Response};
pub use crate::percent::encoded;
use crate::signing::Signing;

/// A guest identity with its credentials.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The pool's id.
    pub pool: String,
    /// The identity's id.
    pub identity: String,
    /// Its temporary credentials.
    pub caller: Caller,
}

impl Guest {
    /// `/identitypools/POOL/identities/IDENTITY`, encoded.
    pub fn path(&self) -> String {
        format!("/identitypools/{}/identities/{}", encoded(&self.pool), encoded(&self.identity))
    }

    /// The path of one of its datasets, encoded.
    pub fn dataset(&self, name: &str) -> String {
        format!("{}/datasets/{}", self.path(), encoded(name))
    }

    /// The path of one of its datasets' records, encoded.
    pub fn records(&self, name: &str) -> String {
        format!("{}/records", self.dataset(name))
    }
}

/// A server to call.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// The address of the server.
    pub address: SocketAddr,
}

impl Api {
    /// Calls to the server at this address.
    pub fn at(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Sends a request unchanged, over a fresh connection.
    pub fn send(&self, request: &Request) -> Response {
        let answer = Connection::open(self.address).and_then(|mut connection| connection.exchange(request));
        answer.unwrap_or_else(|trouble| panic!("{} {}: {trouble}", request.method, request.target))
    }

    /// Signs a Sync request for this caller.
    pub fn signed(&self, caller: &Caller, request: Request) -> Request {
        Signing::by(caller, "cognito-sync").headers(request, self.address)
    }

    /// Makes a Cognito Sync call, signed if there is a caller.
    pub fn sync(
        &self,
        caller: Option<&Caller>,
        method: &str,
        target: &str,
        body: Option<&Value>,
    ) -> Response {
        let request = Request::new(method, target);
        let request = body.iter().fold(request, |request, body| request.json(body));
        match caller {
            Some(caller) => self.send(&self.signed(caller, request)),
            None => self.send(&request),
        }
    }

    /// Makes a Cognito Identity call, signed if there is a caller.
    pub fn identity(&self, caller: Option<&Caller>, operation: &str, input: &Value) -> Response {
        let request = Request::new("POST", "/")
            .header("X-Amz-Target", format!("AWSCognitoIdentityService.{operation}"))
            .header("Content-Type", "application/x-amz-json-1.1")
            .body(input.to_string());
        match caller {
            Some(caller) => {
                self.send(&Signing::by(caller, "cognito-identity").headers(request, self.address))
            }
            None => self.send(&request),
        }
    }

    /// Makes an STS call, signed if there is a caller.
    pub fn sts(&self, caller: Option<&Caller>, form: &[(&str, &str)]) -> Response {
        let fields: Vec<String> =
            form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = Request::new("POST", "/")
            .header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(format!("{}&Version=2011-06-15", fields.join("&")));
        match caller {
            Some(caller) => self.send(&Signing::by(caller, "sts").headers(request, self.address)),
            None => self.send(&request),
        }
    }

    /// Creates a pool that allows guests and returns its id.
    pub fn new_pool(&self, root: &Caller) -> String {
        let input = json!({ "IdentityPoolName": "acceptance", "AllowUnauthenticatedIdentities": true });
        let answer = succeeded(&self.identity(Some(root), "CreateIdentityPool", &input));
        text(&answer["IdentityPoolId"])
    }

    /// Creates a guest of the pool, with credentials.
    pub fn new_guest(&self, pool: &str) -> Guest {
        let answer = succeeded(&self.identity(None, "GetId", &json!({ "IdentityPoolId": pool })));
        let identity = text(&answer["IdentityId"]);
        let caller = self.credentials(&identity);
        Guest { pool: pool.to_owned(), identity, caller }
    }

    /// Fresh credentials of an identity.
    pub fn credentials(&self, identity: &str) -> Caller {
        let input = json!({ "IdentityId": identity });
        let answer = succeeded(&self.identity(None, "GetCredentialsForIdentity", &input));
        let keys = &answer["Credentials"];
        Caller {
            access_key_id: text(&keys["AccessKeyId"]),
            secret_access_key: text(&keys["SecretKey"]),
            session_token: Some(text(&keys["SessionToken"])),
        }
    }

    /// A guest of a new pool.
    pub fn new_user(&self, root: &Caller) -> Guest {
        self.new_guest(&self.new_pool(root))
    }

    /// Lists all records of a dataset.
    pub fn list(&self, guest: &Guest, dataset: &str) -> Value {
        succeeded(&self.sync(Some(&guest.caller), "GET", &guest.records(dataset), None))
    }

    /// A new session token for a dataset.
    pub fn session(&self, guest: &Guest, dataset: &str) -> String {
        text(&self.list(guest, dataset)["SyncSessionToken"])
    }

    /// Updates records under a new session.
    pub fn update(&self, guest: &Guest, dataset: &str, patches: &Value) -> Response {
        let body = json!({ "SyncSessionToken": self.session(guest, dataset), "RecordPatches": patches });
        self.sync(Some(&guest.caller), "POST", &guest.dataset(dataset), Some(&body))
    }

    /// Deletes a dataset, and expects success.
    pub fn delete(&self, guest: &Guest, dataset: &str) {
        succeeded(&self.sync(Some(&guest.caller), "DELETE", &guest.dataset(dataset), None));
    }

    /// Puts one record, and expects success.
    pub fn put(&self, guest: &Guest, dataset: &str, key: &str, value: &str, count: u64) {
        let patch = json!([{ "Op": "replace", "Key": key, "Value": value, "SyncCount": count }]);
        succeeded(&self.update(guest, dataset, &patch));
    }
}

/// The JSON of an answer that must be a success.
pub fn succeeded(response: &Response) -> Value {
    assert_eq!(response.status, 200, "expected success, got {:?}: {}", response.headers, response.text());
    response.json()
}

/// The text of a JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("expected a string, got {value}")).to_owned()
}
