//! The body of a fuzz target: bytes inserted anywhere into the head of a request must neither panic nor
//! verify. The function is plain, so that a test runs it for a bounded number of rounds and a fuzzer without
//! end.

use carryall_wire::sigv4::{BodyHash, Expected, Form, SignedParts, SigningKey, canonical_request, parse};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;

/// A well-formed head whose signature belongs to no key; lines are path, query, then headers.
const HEADER_FORM: &[u8] = b"/identitypools/us-east-1%3Aab\nmaxResults=5&nextToken=a+b%2F\nhost:h\n\
    x-amz-date:20260131T120000Z\nx-amz-security-token:dG9rZW4=\nauthorization:AWS4-HMAC-SHA256 \
    Credential=AKID/20260131/us-east-1/cognito-sync/aws4_request, \
    SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=00ff";
const QUERY_FORM: &[u8] = b"/identitypools/us-east-1:ab\nX-Amz-Algorithm=AWS4-HMAC-SHA256\
    &X-Amz-Credential=AKID%2F20260131%2Fus-east-1%2Fcognito-sync%2Faws4_request\
    &X-Amz-Date=20260131T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Security-Token=dG9rZW4%3D\
    &X-Amz-Signature=00ff\nhost:h";
const NOW_MILLIS: i64 = 1_769_860_800_000;

/// Inserts the bytes into a well-formed head, at a position that their first bytes choose, and verifies it.
/// Returns true if the authentication could be parsed, so that a test can count how often it was.
pub(crate) fn verify_head_with(bytes: &[u8]) -> bool {
    let (&[form, high, low, kept], inserted) = bytes.split_first_chunk().unwrap_or((&[0; 4], bytes));
    let template = if form % 2 == 0 { HEADER_FORM } else { QUERY_FORM };
    let at = usize::from(u16::from_be_bytes([high, low])) % template.len();
    let resume = (at + usize::from(kept % 32)).min(template.len());
    let head = [&template[..at], inserted, &template[resume..]].concat();
    verify_head(&head)
}

fn verify_head(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    let path = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let query = lines.next().map(String::from_utf8_lossy);
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(halves.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(halves.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let parts =
        SignedParts { method: "GET", raw_path: &path, raw_query: query.as_deref(), headers: &headers };
    let body_hash = BodyHash::of(b"");
    let any_list = String::from_utf8_lossy(head);
    let canonical = canonical_request(&parts, &any_list, Form::Header, &body_hash);
    assert!(canonical.ends_with(body_hash.as_str().as_bytes()));
    let Ok(Some(presented)) = parse(&parts) else { return false };
    let region = presented.scope().region.to_string();
    let service = presented.scope().service.to_string();
    let expected = Expected { region: &region, service: &service };
    if let Ok(in_scope) = presented.check_scope_and_clock(&expected, NOW_MILLIS, 300) {
        let key = SigningKey::derive(&SecretString::from("never used to sign"), in_scope.presented().scope());
        assert!(in_scope.verify(&body_hash, &key).is_err(), "a head that nobody signed was verified");
    }
    true
}

#[test]
fn no_bytes_in_a_head_panic_or_verify() {
    bolero::check!().with_iterations(20_000).for_each(|bytes: &[u8]| {
        verify_head_with(bytes);
    });
}

#[test]
fn the_well_formed_heads_can_be_read() {
    assert!(verify_head(HEADER_FORM));
    assert!(verify_head(QUERY_FORM));
}
