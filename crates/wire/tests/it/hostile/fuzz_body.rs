//! The body of a fuzz target: arbitrary requests against routing and decoding. Nothing may panic, every
//! decoded input must encode again, and every refusal must map to a fault of the service. The functions are
//! plain, so that tests run them for a bounded time and a fuzzer without end.

use carryall_wire::codec::{self, Dialect, Rejection, Route, Routed};
use carryall_wire::spec::{Method, OPERATIONS, Operation, OperationName, Service, Visitor};
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

/// A refusal must be a client error with a short message.
fn check_refusal(dialect: Dialect, rejection: &Rejection) {
    let answer = codec::encode_fault(dialect, "id", &rejection.fault(dialect.service()));
    assert!((400..500).contains(&answer.status), "{rejection:?}");
    assert!(answer.body.len() < 4_096, "{rejection:?}");
}

/// A form cannot express an empty structure or an empty list.
fn without_empty(value: Value) -> Value {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    match value {
        Value::Array(items) => items.into_iter().map(without_empty).filter(|item| !is_empty(item)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, without_empty(value)))
            .filter(|(_, value)| !is_empty(value))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

struct Decode<'r, 'b> {
    route: &'r Route<'r>,
    body: &'b [u8],
}

impl Visitor for Decode<'_, '_> {
    type Answer = ();

    fn visit<O: Operation>(self) {
        let input = match codec::decode::<O>(self.route, self.body) {
            Ok(decoded) => decoded.input,
            Err(rejection) => return check_refusal(self.route.dialect, &rejection),
        };
        let before = serde_json::to_value(&input).expect("an input can be written");
        let again: O::Input = serde_json::from_value(before.clone()).expect("what was written can be read");
        assert_eq!(serde_json::to_value(&again).expect("an input can be written"), before);
        // A client could have sent the input, unless it lacks a member of the path, which only the RPC form
        // can omit.
        let is_rest = self.route.dialect == Dialect::Rest;
        let Ok(request) = codec::request::<O>(&input) else { return assert!(!is_rest, "{before}") };
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((&request.path_and_query, ""));
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers {
            let name = http::HeaderName::try_from(name).expect("a header name");
            // A form's member may have a value that a header cannot carry; clients would refuse to send it.
            let Ok(value) = HeaderValue::try_from(value) else { return };
            headers.insert(name, value);
        }
        let routed =
            codec::route(request.method.as_str(), path, Some(query), &headers).expect("a built request");
        let route = match routed {
            Routed::Operation(route) => route,
            Routed::Form(form) => form.resolve(&request.body).expect("a built form"),
        };
        let decoded = codec::decode::<O>(&route, &request.body).expect("a built request is readable");
        let after = serde_json::to_value(decoded.input).expect("an input can be written");
        if O::SPEC.service == Service::Sts {
            assert_eq!(without_empty(after), without_empty(before));
        } else {
            assert_eq!(after, before);
        }
    }
}

/// Routes a request and decodes it as the operation that it reached.
fn receive(method: &str, path: &str, query: Option<&str>, headers: &HeaderMap, body: &[u8]) {
    let routed = match codec::route(method, path, query, headers) {
        Ok(routed) => routed,
        Err(refused) => return check_refusal(refused.dialect, &refused.rejection),
    };
    let route = match routed {
        Routed::Operation(route) => route,
        Routed::Form(form) => match form.resolve(body) {
            Ok(route) => route,
            Err(refused) => return check_refusal(refused.dialect, &refused.rejection),
        },
    };
    route.operation.visit(Decode { route: &route, body });
}

fn target(name: OperationName) -> Option<HeaderValue> {
    let spec = name.spec();
    let prefix = spec.service.target_prefix()?;
    Some(HeaderValue::try_from(format!("{prefix}{}", name.as_str())).expect("a header value"))
}

/// Uses the bytes as the body of every operation.
pub(crate) fn receive_body(bytes: &[u8]) {
    for spec in OPERATIONS {
        let mut headers = HeaderMap::new();
        if let Some(target) = target(spec.name) {
            headers.insert("x-amz-target", target);
        }
        receive(Method::Post.as_str(), "/", None, &headers, bytes);
        if spec.service == Service::Sync {
            let path = spec.path.replace(['{', '}'], "");
            receive(spec.method.as_str(), &path, None, &HeaderMap::new(), bytes);
        }
    }
}

/// Uses the bytes as labels, as query and as the whole path.
pub(crate) fn receive_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for spec in OPERATIONS.iter().filter(|spec| spec.service == Service::Sync) {
        let path =
            spec.path.replace("{DatasetName}", &text).replace("{IdentityId}", &text).replace(['{', '}'], "");
        receive(spec.method.as_str(), &path, Some(&text), &HeaderMap::new(), b"");
        let query = format!("nextToken={text}&maxResults=1&lastSyncCount={text}");
        let path = spec.path.replace(['{', '}'], "");
        receive(spec.method.as_str(), &path, Some(&query), &HeaderMap::new(), b"");
    }
    receive("GET", &text, Some(&text), &HeaderMap::new(), bytes);
}

/// Uses the bytes as a form, as a method and as each header that routing reads.
pub(crate) fn receive_target(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    let form = [b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&PolicyArns.member.", bytes].concat();
    receive("POST", "/", None, &headers, &form);
    receive(&String::from_utf8_lossy(bytes), "/identitypools", None, &headers, b"");
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        headers.insert("x-amz-target", value.clone());
        receive("POST", "/", None, &headers, bytes);
        headers.insert("x-http-method-override", value.clone());
        headers.insert("x-amz-client-context", value);
        receive("POST", "/identitypools/p/identities/i/datasets/d", None, &headers, b"{}");
    }
}

/// Changes some bytes of a valid message, which reaches deeper than random bytes. The first byte chooses the
/// operation, then every three bytes are a position and a replacement.
pub(crate) fn receive_damaged_example(bytes: &[u8]) {
    let Some((which, damage)) = bytes.split_first() else { return };
    let spec = OPERATIONS[usize::from(*which) % OPERATIONS.len()];
    let mut body = spec.example.input.as_bytes().to_vec();
    for change in damage.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % body.len();
        body[place] = change[2];
    }
    let mut headers = HeaderMap::new();
    if let Some(target) = target(spec.name) {
        headers.insert("x-amz-target", target);
    }
    receive("POST", "/", None, &headers, &body);
    if spec.service == Service::Sync {
        receive(spec.method.as_str(), &spec.path.replace(['{', '}'], ""), None, &HeaderMap::new(), &body);
    }
}
