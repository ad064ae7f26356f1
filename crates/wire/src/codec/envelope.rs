//! The envelope of the RPC form: `{"Operation", "Service", "Input"}` in, `{"Output", "Version"}` out.
//!
//! The rules are in `docs/protocol.md` section 1.2. The API reference's own sample has no envelope, so a body
//! without any of the three members is the input itself, and its answer has no envelope either.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Wrapping;
use super::json;
use super::rejection::Rejection;
use crate::member;
use crate::spec::OperationName;

const NAMESPACE: &str = "com.amazonaws.cognito.sync.model#";
const SERVICE: &str = "com.amazonaws.cognito.sync.model#AWSCognitoSyncService";
const VERSION: &str = "1.0";

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Envelope<'t> {
    #[serde(borrow)]
    operation: Option<Cow<'t, str>>,
    #[serde(borrow)]
    service: Option<Cow<'t, str>>,
    #[serde(borrow)]
    input: Option<&'t RawValue>,
}

/// Removes the envelope, if there is one, and checks that it agrees with the target.
pub(super) fn open(operation: OperationName, text: &str) -> Result<(Wrapping, &str), Rejection> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let envelope = member::object::<_, Envelope<'_>>(&mut deserializer)
        .and_then(|envelope| deserializer.end().map(|()| envelope.unwrap_or_default()))
        .map_err(|error| json::malformed(&error, ""))?;
    if envelope.operation.is_none() && envelope.service.is_none() && envelope.input.is_none() {
        return Ok((Wrapping::Bare, text));
    }
    if envelope.operation.as_deref().and_then(|name| name.strip_prefix(NAMESPACE)) != Some(operation.as_str())
    {
        return Err(Rejection::Envelope { member: "Operation" });
    }
    if envelope.service.as_deref() != Some(SERVICE) {
        return Err(Rejection::Envelope { member: "Service" });
    }
    Ok((Wrapping::Enveloped, envelope.input.map_or("{}", RawValue::get)))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sealed<'o, O> {
    output: Typed<'o, O>,
    version: &'static str,
}

#[derive(Serialize)]
struct Typed<'o, O> {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(flatten)]
    members: &'o O,
}

/// An envelope without the name of its type and without the members; the members bring one brace too many.
const ENVELOPE: &str = r#"{"Output":{"__type":"",},"Version":"1.0"}"#;

/// Wraps an answer in its envelope. `json_bytes` is the answer's own size, if known.
pub(super) fn seal<O: Serialize>(
    operation: OperationName,
    output: &O,
    json_bytes: Option<usize>,
) -> Result<Vec<u8>, serde_json::Error> {
    let kind = format!("{NAMESPACE}{}Response", operation.as_str());
    let json_bytes = json_bytes.map(|bytes| ENVELOPE.len() + kind.len() + bytes - "{}".len());
    json::written(&Sealed { output: Typed { kind, members: output }, version: VERSION }, json_bytes)
}
