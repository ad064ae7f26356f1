//! The envelope of the RPC form: `{"Operation", "Service", "Input"}` in, `{"Output", "Version"}` out.
//!
//! The rules are in `docs/protocol.md` section 1.2. The API reference's own sample has no envelope, so a body
//! without any of the three members is the input itself, and its answer has no envelope either.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Wrapping;
use super::json::{self, SMALL_ANSWER_BYTES};
use super::rejection::Rejection;
use crate::member;
use crate::spec::{Operation, OperationName};

const NAMESPACE: &str = "com.amazonaws.cognito.sync.model#";
const SERVICE: &str = "com.amazonaws.cognito.sync.model#AWSCognitoSyncService";

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

/// The end of an envelope, after the answer.
const CLOSING: &str = r#","Version":"1.0"}"#;

/// Encodes an answer in its envelope. `json_bytes` is the answer's own size, if known.
pub(super) fn seal<O: Operation>(
    output: &O::Output,
    json_bytes: Option<usize>,
) -> Result<Vec<u8>, serde_json::Error> {
    let opening = format!(r#"{{"Output":{{"__type":"{NAMESPACE}{}Response""#, O::SPEC.name.as_str());
    let members_bytes = json_bytes.unwrap_or(SMALL_ANSWER_BYTES);
    let mut bytes = Vec::with_capacity(opening.len() + members_bytes + CLOSING.len());
    bytes.extend_from_slice(opening.as_bytes());
    O::write_json(output, &mut bytes)?;
    // The members follow the type in the same object.
    if bytes.ends_with(b"{}") {
        bytes.remove(opening.len());
    } else if let Some(brace) = bytes.get_mut(opening.len()) {
        *brace = b',';
    }
    bytes.extend_from_slice(CLOSING.as_bytes());
    Ok(bytes)
}
