//! The canonical request and the string to sign (`docs/protocol.md` section 4.1), over the bytes as received.
//!
//! A path is not decoded: each byte is encoded once more, so `%3A` becomes `%253A` and a raw colon `%3A`. A
//! query is decoded and encoded again, and a raw `+` in it counts as a space. Signers that parse a query
//! (Rust, Go) read it this way, and every AWS SDK sends a space as `%20` and a plus as `%2B`. The decoder of
//! the operations reads a query alike, so no two requests of different meaning share a signature. Dot
//! segments and empty segments are not folded; the server refuses such paths before it verifies signatures.

use std::ops::Range;

use http::HeaderMap;

use super::digest::{BodyHash, Hex64};
use super::scope::{AmzDate, Scope};
use super::{ALGORITHM, Form, SignedParts};

const X_AMZ_SIGNATURE: &str = "X-Amz-Signature";

/// The canonical request: method, path, query, signed headers, their names, and the body's hash.
///
/// `signed_headers` is the list as presented: lower-case names separated by semicolons. A name that the
/// request does not carry counts as a header with an empty value. In [`Form::Query`] the query's own
/// signature is left out.
pub fn canonical_request(
    parts: &SignedParts<'_>,
    signed_headers: &str,
    form: Form,
    body_hash: &BodyHash,
) -> Vec<u8> {
    let query = parts.raw_query.unwrap_or_default();
    let mut canonical = Vec::with_capacity(1_024 + 2 * (parts.raw_path.len() + query.len()));
    canonical.extend_from_slice(parts.method.as_bytes());
    canonical.push(b'\n');
    push_path(parts.raw_path, &mut canonical);
    canonical.push(b'\n');
    push_query(query, form, &mut canonical);
    canonical.push(b'\n');
    for name in signed_headers.split(';') {
        push_header(parts.headers, name, &mut canonical);
    }
    canonical.push(b'\n');
    canonical.extend_from_slice(signed_headers.as_bytes());
    canonical.push(b'\n');
    canonical.extend_from_slice(body_hash.as_str().as_bytes());
    canonical
}

/// The string to sign: algorithm, time, scope, and the hash of the canonical request.
pub fn string_to_sign(requested_at: &AmzDate, scope: &Scope<'_>, canonical: &[u8]) -> String {
    let hash = Hex64::of_sha256(canonical);
    let mut text = String::with_capacity(192);
    for part in [
        ALGORITHM,
        "\n",
        requested_at.as_str(),
        "\n",
        &scope.day,
        "/",
        &scope.region,
        "/",
        &scope.service,
        "/",
        super::SCOPE_END,
        "\n",
        hash.as_str(),
    ] {
        text.push_str(part);
    }
    text
}

/// The members of a query in order, each as raw name and raw value. A member without `=` has an empty value.
pub(crate) fn query_members(raw_query: &str) -> impl Iterator<Item = (&str, &str)> {
    raw_query
        .split('&')
        .filter(|member| !member.is_empty())
        .map(|member| member.split_once('=').unwrap_or((member, "")))
}

/// Decodes a raw name or value of a query to bytes. A percent sign that starts no escape stands for itself.
pub(crate) fn decoded_bytes(raw: &str) -> impl Iterator<Item = u8> {
    let mut rest = raw.as_bytes();
    std::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) => match (hex_value(*high), hex_value(*low)) {
                (Some(high), Some(low)) => {
                    rest = after;
                    Some(high << 4 | low)
                }
                (None, _) | (_, None) => Some(b'%'),
            },
            (b'+', _) => Some(b' '),
            (other, _) => Some(other),
        }
    })
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends bytes, percent-encoded in upper case except for the unreserved characters of RFC 3986.
pub(crate) fn push_encoded(bytes: impl Iterator<Item = u8>, out: &mut Vec<u8>) {
    const HEX_DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        if is_unreserved(byte) {
            out.push(byte);
        } else {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 0x0f));
            out.extend_from_slice(&[b'%', HEX_DIGITS[high], HEX_DIGITS[low]]);
        }
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

fn push_path(raw_path: &str, out: &mut Vec<u8>) {
    if raw_path.is_empty() {
        out.push(b'/');
        return;
    }
    let mut rest = raw_path.as_bytes();
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|&&byte| byte == b'/' || is_unreserved(byte)).count();
        let (unchanged, others) = rest.split_at(plain);
        out.extend_from_slice(unchanged);
        let Some((&byte, tail)) = others.split_first() else { return };
        push_encoded(std::iter::once(byte), out);
        rest = tail;
    }
}

fn push_query(raw_query: &str, form: Form, out: &mut Vec<u8>) {
    if raw_query.is_empty() {
        return;
    }
    let mut encoded = Vec::with_capacity(raw_query.len() + raw_query.len() / 2);
    let mut members: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    for (name, value) in query_members(raw_query) {
        if is_left_out(name, form) {
            continue;
        }
        let name_start = encoded.len();
        push_encoded(decoded_bytes(name), &mut encoded);
        let name_end = encoded.len();
        push_encoded(decoded_bytes(value), &mut encoded);
        members.push((name_start..name_end, name_end..encoded.len()));
    }
    let slices = |(name, value): &(Range<usize>, Range<usize>)| {
        (encoded.get(name.clone()).unwrap_or_default(), encoded.get(value.clone()).unwrap_or_default())
    };
    members.sort_unstable_by(|left, right| slices(left).cmp(&slices(right)));
    for (position, member) in members.iter().enumerate() {
        if position > 0 {
            out.push(b'&');
        }
        let (name, value) = slices(member);
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

fn is_left_out(raw_name: &str, form: Form) -> bool {
    match form {
        Form::Header => false,
        Form::Query { .. } => is_named(raw_name, X_AMZ_SIGNATURE),
    }
}

/// True if a raw name of a query, once decoded, equals `name` exactly.
pub(crate) fn is_named(raw_name: &str, name: &str) -> bool {
    decoded_bytes(raw_name).eq(name.bytes())
}

fn push_header(headers: &HeaderMap, name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    for (position, value) in headers.get_all(name).iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        push_folded(value.as_bytes(), out);
    }
    out.push(b'\n');
}

/// Appends a header's value, trimmed, with one space for each run of white space inside.
fn push_folded(value: &[u8], out: &mut Vec<u8>) {
    if !value.contains(&b' ') && !value.contains(&b'\t') {
        // A token, which may be long.
        out.extend_from_slice(value);
        return;
    }
    let mut words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY_FORM: Form = Form::Query { expires_seconds: 60 };

    fn path(raw: &str) -> String {
        let mut out = Vec::new();
        push_path(raw, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn query(raw: &str, form: Form) -> String {
        let mut out = Vec::new();
        push_query(raw, form, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_path_is_encoded_once_more_over_the_wire_form() {
        assert_eq!(path("/identitypools/us-east-1%3Aab"), "/identitypools/us-east-1%253Aab");
        assert_eq!(path("/identitypools/us-east-1:ab"), "/identitypools/us-east-1%3Aab");
        assert_eq!(path("/a%3ab/~._-"), "/a%253ab/~._-");
        assert_eq!(path(""), "/");
    }

    #[test]
    fn a_malformed_escape_in_a_path_is_encoded_like_any_other_byte() {
        assert_eq!(path("/%"), "/%25");
        assert_eq!(path("/%4"), "/%254");
        assert_eq!(path("/%zz"), "/%25zz");
    }

    #[test]
    fn a_path_is_never_normalised() {
        assert_eq!(path("/a/../b//./c/"), "/a/../b//./c/");
    }

    #[test]
    fn query_members_are_encoded_anew_and_sorted_by_name_then_value() {
        assert_eq!(query("b=2&a=1&b=1&a-=0", Form::Header), "a=1&a-=0&b=1&b=2");
        assert_eq!(query("maxResults=5&lastSyncCount", Form::Header), "lastSyncCount=&maxResults=5");
        assert_eq!(query("nextToken=a%3ab%2fc", Form::Header), "nextToken=a%3Ab%2Fc");
        assert_eq!(query("n=a=b&&", Form::Header), "n=a%3Db");
    }

    #[test]
    fn a_plus_in_a_query_is_a_space() {
        assert_eq!(query("a=x+y", Form::Header), "a=x%20y");
        assert_eq!(query("a=x%2By", Form::Header), "a=x%2By");
    }

    #[test]
    fn a_malformed_escape_in_a_query_stands_for_itself() {
        assert_eq!(query("a=%&b=%4&c=%zz&%é=%C3", Form::Header), "%25%C3%A9=%C3&a=%25&b=%254&c=%25zz");
    }

    #[test]
    fn only_a_presigned_query_leaves_its_signature_out_encoded_or_not() {
        assert_eq!(query("X-Amz-Signature=ff&a=1", QUERY_FORM), "a=1");
        assert_eq!(query("X-Amz%2DSignature=ff&a=1", QUERY_FORM), "a=1");
        assert_eq!(query("X-Amz-Signature=ff&a=1", Form::Header), "X-Amz-Signature=ff&a=1");
    }

    #[test]
    fn header_values_are_trimmed_folded_and_joined_in_order() {
        let mut headers = HeaderMap::new();
        headers.append("my-header", "  b  \t c ".parse().unwrap());
        headers.append("my-header", "a".parse().unwrap());
        let mut out = Vec::new();
        push_header(&headers, "my-header", &mut out);
        push_header(&headers, "absent", &mut out);
        assert_eq!(out, b"my-header:b c,a\nabsent:\n");
    }
}
