//! Encoding in the other direction: from an operation's input to a request, through the same table.
//!
//! It is for clients and load generators. Signing is in [`crate::sigv4`].

use std::fmt;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{form, percent};
use crate::spec::{Method, Operation, Service, Source, Spec};

/// A request that is neither signed nor sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path and, if there is one, the query. The path is encoded as SDKs do it (a colon is `%3A`).
    pub path_and_query: String,
    /// Header names in lower case, with their values, including the content type if there is a body.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty if every member travels outside it.
    pub body: Vec<u8>,
}

/// The reason why an input cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// A member of the path is absent, or has a value that a path segment cannot carry.
    Label(&'static str),
    /// The input does not serialize to an object; a bug in its shape.
    Shape,
}

impl fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(member) => {
                write!(formatter, "'{member}' is needed in the path and must not be empty or dots")
            }
            Self::Shape => formatter.write_str("the input is not an object"),
        }
    }
}

impl std::error::Error for RequestError {}

/// Builds the request that carries an input: REST for Sync, JSON 1.1 for Identity, a form for STS.
pub fn request<O: Operation>(input: &O::Input) -> Result<Request, RequestError> {
    let Ok(Value::Object(members)) = serde_json::to_value(input) else { return Err(RequestError::Shape) };
    let members = without_nulls(members);
    match O::SPEC.service {
        Service::Sync => rest(&O::SPEC, members),
        Service::Identity => Ok(json(&O::SPEC, members)),
        Service::Sts => Ok(query(&O::SPEC, members)),
    }
}

/// Removes null members: absent members are null in an input and missing on the wire.
fn without_nulls(members: Map<String, Value>) -> Map<String, Value> {
    members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name, pruned(value)))
        .collect()
}

fn pruned(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(without_nulls(members)),
        Value::Array(items) => Value::Array(items.into_iter().map(pruned).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn rest(spec: &Spec, mut members: Map<String, Value>) -> Result<Request, RequestError> {
    let mut path = spec.path.to_owned();
    let mut query = String::new();
    let mut headers = Vec::new();
    for bind in spec.binds {
        let value = members.remove(bind.member).map(text);
        match (bind.from, value) {
            (Source::Label, value) => {
                let value = value.filter(|value| !matches!(value.as_str(), "" | "." | ".."));
                let value = value.ok_or(RequestError::Label(bind.member))?;
                path = path.replace(&format!("{{{}}}", bind.member), &percent::encode(&value).to_string());
            }
            (Source::Query(name), Some(value)) => append(&mut query, name, &value),
            (Source::Header(name), Some(value)) => headers.push((name, value)),
            (Source::Query(_) | Source::Header(_), None) => {}
        }
    }
    if !query.is_empty() {
        path = format!("{path}?{query}");
    }
    let body = if members.is_empty() { Vec::new() } else { Value::Object(members).to_string().into_bytes() };
    if !body.is_empty() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    Ok(Request { method: spec.method, path_and_query: path, headers, body })
}

fn json(spec: &Spec, members: Map<String, Value>) -> Request {
    let prefix = spec.service.target_prefix().unwrap_or_default();
    Request {
        method: spec.method,
        path_and_query: spec.path.to_owned(),
        headers: vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", format!("{prefix}{}", spec.name.as_str())),
        ],
        body: Value::Object(members).to_string().into_bytes(),
    }
}

fn query(spec: &Spec, members: Map<String, Value>) -> Request {
    let mut form = String::new();
    append(&mut form, "Action", spec.name.as_str());
    append(&mut form, "Version", form::VERSION);
    flatten(&mut form, "", Value::Object(members));
    Request {
        method: spec.method,
        path_and_query: spec.path.to_owned(),
        headers: vec![("content-type", form::CONTENT_TYPE.to_owned())],
        body: form.into_bytes(),
    }
}

/// Appends a value under its name: members of members as `Name.Sub`, list items as `Name.member.1`.
fn flatten(form: &mut String, name: &str, value: Value) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                flatten(form, &name, value);
            }
        }
        Value::Array(items) => {
            for (number, item) in (1..).zip(items) {
                flatten(form, &format!("{name}.member.{number}"), item);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            append(form, name, &text(value));
        }
    }
}

fn append(query: &mut String, name: &str, value: &str) {
    let separator = if query.is_empty() { "" } else { "&" };
    // Writing to a string cannot fail.
    let _ = write!(query, "{separator}{}={}", percent::encode(name), percent::encode(value));
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::identity::{GetId, get_id};
    use crate::ops::sts::{AssumeRoleWithWebIdentity, assume_role_with_web_identity};
    use crate::ops::sync::{ListRecords, UpdateRecords, list_records, update_records};

    #[test]
    fn a_rest_request_carries_each_member_where_it_belongs() {
        let input = update_records::Input {
            identity_pool_id: Some("us-east-1:01".to_owned()),
            identity_id: Some("us-east-1:02".to_owned()),
            dataset_name: Some("a/b".to_owned()),
            sync_session_token: Some("t".to_owned()),
            record_patches: Some(vec![update_records::RecordPatch {
                key: Some("k".to_owned()),
                sync_count: Some(0),
                ..Default::default()
            }]),
            client_context: Some("c".to_owned()),
            ..Default::default()
        };
        let request = request::<UpdateRecords>(&input).expect("complete");
        assert_eq!(request.method, Method::Post);
        assert_eq!(
            request.path_and_query,
            "/identitypools/us-east-1%3A01/identities/us-east-1%3A02/datasets/a%2Fb"
        );
        assert_eq!(
            request.headers,
            [("x-amz-Client-Context", "c".to_owned()), ("content-type", "application/json".to_owned())]
        );
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let expected =
            serde_json::json!({"SyncSessionToken": "t", "RecordPatches": [{"Key": "k", "SyncCount": 0}]});
        assert_eq!(body, expected);
    }

    #[test]
    fn a_request_without_body_members_has_no_body_and_no_content_type() {
        let input = list_records::Input {
            identity_pool_id: Some("p".to_owned()),
            identity_id: Some("i".to_owned()),
            dataset_name: Some("d".to_owned()),
            last_sync_count: Some(7),
            next_token: Some("a+b/=".to_owned()),
            ..Default::default()
        };
        let request = request::<ListRecords>(&input).expect("complete");
        assert_eq!(
            request.path_and_query,
            "/identitypools/p/identities/i/datasets/d/records?lastSyncCount=7&nextToken=a%2Bb%2F%3D"
        );
        assert_eq!((request.headers, request.body), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_path_member_that_no_path_can_carry_is_refused() {
        for dataset_name in [None, Some(""), Some("."), Some("..")] {
            let input = list_records::Input {
                identity_pool_id: Some("p".to_owned()),
                identity_id: Some("i".to_owned()),
                dataset_name: dataset_name.map(str::to_owned),
                ..Default::default()
            };
            assert_eq!(request::<ListRecords>(&input), Err(RequestError::Label("DatasetName")));
        }
    }

    #[test]
    fn a_member_that_looks_like_a_label_is_not_taken_for_one() {
        let input = list_records::Input {
            identity_pool_id: Some("{IdentityId}".to_owned()),
            identity_id: Some("i".to_owned()),
            dataset_name: Some("d".to_owned()),
            ..Default::default()
        };
        let request = request::<ListRecords>(&input).expect("complete");
        assert_eq!(request.path_and_query, "/identitypools/%7BIdentityId%7D/identities/i/datasets/d/records");
    }

    #[test]
    fn identity_gets_json_with_a_target_and_sts_gets_a_form() {
        let input = get_id::Input { identity_pool_id: Some("p:1".to_owned()), ..Default::default() };
        let sent = request::<GetId>(&input).expect("complete");
        assert_eq!(sent.path_and_query, "/");
        assert!(sent.headers.contains(&("x-amz-target", "AWSCognitoIdentityService.GetId".to_owned())));
        assert_eq!(sent.body, br#"{"IdentityPoolId":"p:1"}"#);

        let input = assume_role_with_web_identity::Input {
            role_session_name: Some("a b".to_owned()),
            duration_seconds: Some(900),
            policy_arns: Some(vec![assume_role_with_web_identity::PolicyDescriptor {
                arn: Some("x".to_owned()),
            }]),
            ..Default::default()
        };
        let sent = request::<AssumeRoleWithWebIdentity>(&input).expect("complete");
        let body = String::from_utf8(sent.body).expect("text");
        assert!(body.starts_with("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&"), "{body}");
        assert!(body.contains("&PolicyArns.member.1.arn=x"), "{body}");
        assert!(body.contains("&RoleSessionName=a%20b"), "{body}");
    }
}
