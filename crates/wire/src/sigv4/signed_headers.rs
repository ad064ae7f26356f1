//! The rules for signed headers (`docs/protocol.md` section 4.3): the form of the list, and the headers that
//! must be in it.

use http::header::HOST;
use http::{HeaderMap, HeaderName};

use super::{SIGNED_HEADERS_COUNT_MAX, Trouble};

/// The only `x-amz-` header that need not be signed, because a content network adds it in transit.
const UNSIGNED_AMZ_HEADER: &str = "x-amz-cf-id";

/// Checks that the list is in order, that the request has every header in it, and that it contains `host` and
/// every `x-amz-` header of the request.
pub(super) fn check_signed_headers(headers: &HeaderMap, signed_headers: &str) -> Result<(), Trouble> {
    let mut previous = "";
    let (mut has_host, mut signed_amz_count) = (false, 0_usize);
    for (position, name) in signed_headers.split(';').enumerate() {
        if position >= SIGNED_HEADERS_COUNT_MAX {
            return Err(Trouble::malformed(format!(
                "'SignedHeaders' has more than {SIGNED_HEADERS_COUNT_MAX} names."
            )));
        }
        if !is_lower_case_name(name) || name <= previous {
            return Err(Trouble::malformed(
                "'SignedHeaders' must be lower-case header names in ascending order, each once, separated by ';'.",
            ));
        }
        if !headers.contains_key(name) {
            return Err(Trouble::mismatch(format!(
                "The header '{}' is signed but is not in the request.",
                shortened(name)
            )));
        }
        has_host |= name == HOST.as_str();
        signed_amz_count += usize::from(must_be_signed(name));
        previous = name;
    }
    if !has_host {
        return Err(Trouble::mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization."));
    }
    // Signed names are distinct and all present, so equal numbers mean that none is missing.
    let amz_names = || headers.keys().map(HeaderName::as_str).filter(|name| must_be_signed(name));
    if amz_names().count() == signed_amz_count {
        return Ok(());
    }
    let is_signed = |name: &str| signed_headers.split(';').any(|signed| signed == name);
    let unsigned = amz_names().find(|name| !is_signed(name)).unwrap_or_default();
    Err(Trouble::mismatch(format!(
        "'{}' must be a 'SignedHeader' in the AWS Authorization.",
        shortened(unsigned)
    )))
}

fn must_be_signed(name: &str) -> bool {
    name.starts_with("x-amz-") && name != UNSIGNED_AMZ_HEADER
}

fn is_lower_case_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && !matches!(b, b':' | b','))
}

/// The first 128 bytes of a client's header name, enough to identify it; names are ASCII here.
fn shortened(name: &str) -> &str {
    name.get(..128).unwrap_or(name)
}
