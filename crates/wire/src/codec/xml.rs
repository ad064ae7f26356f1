//! The XML answers of STS (`docs/protocol.md` section 1.4). STS reads forms, so no XML is read here.

use quick_xml::SeError;
use quick_xml::escape::escape;
use serde::Serialize;

use crate::spec::OperationName;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Encodes a success: the result inside the response's element, followed by the request id.
pub(super) fn success<O: Serialize>(
    operation: OperationName,
    request_id: &str,
    output: &O,
) -> Result<Vec<u8>, SeError> {
    let name = operation.as_str();
    let result = quick_xml::se::to_string_with_root(&format!("{name}Result"), output)?;
    let request_id = text(request_id);
    Ok(format!(
        "<{name}Response xmlns=\"{NAMESPACE}\">{result}\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
    )
    .into_bytes())
}

/// Encodes a fault, blamed on the sender unless its status says otherwise.
pub(super) fn fault(name: &str, status: u16, request_id: &str, message: &str) -> Vec<u8> {
    let blamed = if status < 500 { "Sender" } else { "Receiver" };
    let (message, request_id) = (text(message), text(request_id));
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{blamed}</Type><Code>{name}</Code>\
         <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    .into_bytes()
}

/// Escapes text between tags. A message may repeat a client's text, and XML cannot represent most control
/// characters.
fn text(text: &str) -> String {
    let writable = |character: char| match character {
        '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'.. => character,
        _ => '\u{fffd}',
    };
    escape(text.chars().map(writable).collect::<String>()).into_owned()
}
