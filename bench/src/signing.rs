//! Requests as bytes: an operation's input in the form in which SDKs send and sign it.

use std::net::SocketAddr;

use carryall_wire::codec::{self, Request};
use carryall_wire::sigv4::{self, BodyHash, Credentials, SignedParts, Signer};
use carryall_wire::spec::{Operation, Service};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::clock;
use crate::outcome::Outcome;

/// The region of servers under test.
pub(crate) const REGION: &str = "us-east-1";

/// The bytes of an operation's request, signed if there are credentials.
pub(crate) fn request<O: Operation>(
    address: SocketAddr,
    credentials: Option<&Credentials>,
    input: &O::Input,
) -> Outcome<Vec<u8>> {
    bytes(address, credentials, O::SPEC.service, &codec::request::<O>(input)?)
}

/// The bytes of any request to `service`, signed if there are credentials.
pub(crate) fn bytes(
    address: SocketAddr,
    credentials: Option<&Credentials>,
    service: Service,
    request: &Request,
) -> Outcome<Vec<u8>> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(&address.to_string())?);
    for (name, value) in &request.headers {
        headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    let (raw_path, raw_query) = match request.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path_and_query.as_str(), None),
    };
    if let Some(credentials) = credentials {
        let service = service.signing_name();
        let signer = Signer { credentials, region: REGION, service, at_millis: clock::now_milliseconds() };
        let parts = SignedParts { method: request.method.as_str(), raw_path, raw_query, headers: &headers };
        headers.extend(sigv4::sign(&parts, &BodyHash::of(&request.body), &signer)?);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    let mut bytes =
        format!("{} {} HTTP/1.1\r\n", request.method.as_str(), request.path_and_query).into_bytes();
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    Ok(bytes)
}
