//! Encoding of an output or a fault to the bytes of an answer.
//!
//! The formats are in `docs/protocol.md` sections 2.3 and 3.1. The server adds the request id header, `Date`
//! and CORS.

use serde::Serialize;

use super::{Dialect, Wrapping, envelope, json, xml};
use crate::fault::{Fault, FaultKind};
use crate::spec::Operation;

/// An answer, independent of any HTTP server's types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The value of `x-amzn-ErrorType` for a fault, trailing colon included. A success must not have the
    /// header.
    pub error_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// An output that cannot be serialized. All shapes of this crate can be, so this error is a bug in a new one.
#[derive(Debug)]
pub struct EncodeError(String);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "output cannot be written: {}", self.0)
    }
}

impl std::error::Error for EncodeError {}

/// Encodes a success. The request id goes into the body in the dialects that have a member for it. `json_bytes` is
/// [`Operation::json_bytes`] of the output, which the caller has computed to reserve memory.
pub fn encode<O: Operation>(
    dialect: Dialect,
    request_id: &str,
    output: &O::Output,
    json_bytes: Option<usize>,
) -> Result<Answer, EncodeError> {
    let body = match dialect {
        Dialect::Rest | Dialect::Rpc(Wrapping::Bare) | Dialect::Json => {
            json::written::<O>(output, json_bytes).map_err(json_error)
        }
        Dialect::Rpc(Wrapping::Enveloped) => envelope::seal::<O>(output, json_bytes).map_err(json_error),
        Dialect::Query => {
            xml::success(O::SPEC.name, request_id, output).map_err(|error| EncodeError(error.to_string()))
        }
    }?;
    Ok(Answer { status: 200, content_type: dialect.content_type(), error_type: None, body })
}

#[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn json_error(error: serde_json::Error) -> EncodeError {
    EncodeError(error.to_string())
}

/// Encodes a fault. Its name is in the header and in the body, because some clients read only one of them,
/// and some know only one spelling of the header.
pub fn encode_fault(dialect: Dialect, request_id: &str, fault: &Fault) -> Answer {
    let service = dialect.service();
    let (name, status) = (fault.kind.name(service), fault.kind.status(service));
    let body = match dialect {
        Dialect::Rest | Dialect::Rpc(_) | Dialect::Json => json_fault(name, fault),
        Dialect::Query => xml::fault(name, status, request_id, &fault.message),
    };
    Answer { status, content_type: dialect.content_type(), error_type: Some(format!("{name}:")), body }
}

#[derive(Serialize)]
struct FaultBody<'f> {
    #[serde(rename = "__type")]
    name: &'f str,
    message: &'f str,
    /// Denials by policy are known to use this spelling.
    #[serde(rename = "Message", skip_serializing_if = "Option::is_none")]
    capital_message: Option<&'f str>,
}

fn json_fault(name: &str, fault: &Fault) -> Vec<u8> {
    let capital_message = (fault.kind == FaultKind::AccessDenied).then_some(fault.message.as_str());
    let body = FaultBody { name, message: &fault.message, capital_message };
    // Strings can always be serialized; an empty object keeps the answer readable should that ever change.
    serde_json::to_vec(&body).unwrap_or_else(|_| b"{}".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::identity::{DeleteIdentityPool, GetId, get_id};
    use crate::ops::sts::{GetCallerIdentity, get_caller_identity};
    use crate::ops::sync::{ListRecords, SetCognitoEvents, list_records};
    use crate::shapes::{Empty, Record};
    use crate::timestamp::Timestamp;

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).expect("text")
    }

    fn empty_listing() -> list_records::Output {
        list_records::Output {
            records: Vec::new(),
            next_token: None,
            count: 0,
            dataset_sync_count: 0,
            last_modified_by: None,
            merged_dataset_names: Vec::new(),
            dataset_exists: false,
            dataset_deleted_after_requested_sync_count: false,
            sync_session_token: "t".to_owned(),
        }
    }

    #[test]
    fn every_member_of_a_listing_is_there_even_when_there_is_nothing_to_say() {
        let answer = encode::<ListRecords>(Dialect::Rest, "id", &empty_listing(), None).expect("writable");
        assert_eq!(
            text(&answer),
            r#"{"Records":[],"NextToken":null,"Count":0,"DatasetSyncCount":0,"LastModifiedBy":null,"MergedDatasetNames":[],"DatasetExists":false,"DatasetDeletedAfterRequestedSyncCount":false,"SyncSessionToken":"t"}"#
        );
        assert_eq!((answer.status, answer.content_type, answer.error_type), (200, "application/json", None));
    }

    #[test]
    fn a_tombstone_is_written_with_a_null_value_and_dates_as_decimals() {
        let date = Timestamp::from_unix_milliseconds(1_412_974_057_151);
        let record = Record {
            key: "k".into(),
            value: None,
            sync_count: 3,
            last_modified_date: date,
            last_modified_by: None,
            device_last_modified_date: date,
        };
        assert_eq!(
            serde_json::to_string(&record).expect("writable"),
            r#"{"Key":"k","Value":null,"SyncCount":3,"LastModifiedDate":1412974057.151,"LastModifiedBy":null,"DeviceLastModifiedDate":1412974057.151}"#
        );
    }

    #[test]
    fn an_enveloped_answer_names_its_type_and_a_bare_one_does_not() {
        let enveloped = encode::<SetCognitoEvents>(Dialect::Rpc(Wrapping::Enveloped), "id", &Empty {}, None)
            .expect("writable");
        assert_eq!(
            text(&enveloped),
            r#"{"Output":{"__type":"com.amazonaws.cognito.sync.model#SetCognitoEventsResponse"},"Version":"1.0"}"#
        );
        let bare = encode::<SetCognitoEvents>(Dialect::Rpc(Wrapping::Bare), "id", &Empty {}, None)
            .expect("writable");
        assert_eq!(text(&bare), "{}");
        let answer = encode::<ListRecords>(Dialect::Rpc(Wrapping::Enveloped), "id", &empty_listing(), None)
            .expect("writable");
        let head =
            r#"{"Output":{"__type":"com.amazonaws.cognito.sync.model#ListRecordsResponse","Records":[]"#;
        assert!(text(&answer).starts_with(head), "{}", text(&answer));
    }

    #[test]
    fn identity_answers_in_its_own_content_type() {
        let output = get_id::Output { identity_id: "us-east-1:02".to_owned() };
        let answer = encode::<GetId>(Dialect::Json, "id", &output, None).expect("writable");
        assert_eq!(
            (text(&answer), answer.content_type),
            (r#"{"IdentityId":"us-east-1:02"}"#, "application/x-amz-json-1.1")
        );
        let answer = encode::<DeleteIdentityPool>(Dialect::Json, "id", &Empty {}, None).expect("writable");
        assert_eq!(text(&answer), "{}");
    }

    #[test]
    fn sts_answers_in_xml_with_what_xml_forbids_escaped() {
        let output = get_caller_identity::Output {
            user_id: "a<b&c".to_owned(),
            account: "000000000000".to_owned(),
            arn: "arn:aws:iam::000000000000:root".to_owned(),
        };
        let answer = encode::<GetCallerIdentity>(Dialect::Query, "<id>", &output, None).expect("writable");
        assert_eq!(answer.content_type, "text/xml");
        assert_eq!(
            text(&answer),
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
             <UserId>a&lt;b&amp;c</UserId><Account>000000000000</Account><Arn>arn:aws:iam::000000000000:root</Arn>\
             </GetCallerIdentityResult><ResponseMetadata><RequestId>&lt;id&gt;</RequestId></ResponseMetadata>\
             </GetCallerIdentityResponse>"
        );
    }

    #[test]
    fn a_fault_has_its_name_in_header_and_body() {
        let fault = Fault::new(FaultKind::ResourceConflict, "Current SyncCount for: \"k\" is: 2 not: 1");
        let answer = encode_fault(Dialect::Rest, "id", &fault);
        assert_eq!(answer.status, 409);
        assert_eq!(answer.error_type.as_deref(), Some("ResourceConflictException:"));
        assert_eq!(
            text(&answer),
            r#"{"__type":"ResourceConflictException","message":"Current SyncCount for: \"k\" is: 2 not: 1"}"#
        );
        assert_eq!(encode_fault(Dialect::Rpc(Wrapping::Enveloped), "id", &fault), answer);
        let answer = encode_fault(Dialect::Json, "id", &fault);
        assert_eq!((answer.status, answer.content_type), (400, "application/x-amz-json-1.1"));
    }

    #[test]
    fn a_denial_by_policy_has_its_message_in_both_spellings() {
        let answer = encode_fault(Dialect::Rest, "id", &Fault::new(FaultKind::AccessDenied, "no"));
        assert_eq!(text(&answer), r#"{"__type":"AccessDeniedException","message":"no","Message":"no"}"#);
    }

    #[test]
    fn an_sts_fault_is_xml_and_holds_no_character_that_xml_forbids() {
        let fault = Fault::new(FaultKind::InvalidSignature, "<a>\0\u{b}\u{fffe}\u{1f600}\n");
        let answer = encode_fault(Dialect::Query, "id", &fault);
        assert_eq!((answer.status, answer.error_type.as_deref()), (403, Some("SignatureDoesNotMatch:")));
        assert_eq!(
            text(&answer),
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
             <Code>SignatureDoesNotMatch</Code><Message>&lt;a&gt;\u{fffd}\u{fffd}\u{fffd}\u{1f600}\n</Message></Error>\
             <RequestId>id</RequestId></ErrorResponse>"
        );
        let answer = encode_fault(Dialect::Query, "id", &Fault::new(FaultKind::InternalError, ""));
        assert!(text(&answer).contains("<Type>Receiver</Type>"));
    }
}
