//! Percent-encoding as the SDKs do it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

const UNRESERVED_KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// One path segment or query value as every SDK encodes it: a colon becomes `%3A`.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED_KEPT).to_string()
}
