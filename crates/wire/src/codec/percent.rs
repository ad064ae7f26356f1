//! Percent-encoding. Decoding is strict: a broken escape, or bytes that are not UTF-8, are refused and not
//! guessed.
//!
//! The rules are in `docs/protocol.md` section 2.1.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything except the unreserved characters, so a colon becomes `%3A` as all SDKs send it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes one path segment, or one name or value of a query.
pub(super) fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, RESERVED)
}

/// Decodes one path segment, in which a plus is a plus.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    let Some((plain, mut escape)) = text.split_once('%') else {
        return Some(Cow::Borrowed(text));
    };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(plain.as_bytes());
    loop {
        let (digits, rest) = escape.split_at_checked(2)?;
        decoded.push(byte_of(digits)?);
        let Some((plain, next)) = rest.split_once('%') else {
            decoded.extend_from_slice(rest.as_bytes());
            return String::from_utf8(decoded).ok().map(Cow::Owned);
        };
        decoded.extend_from_slice(plain.as_bytes());
        escape = next;
    }
}

/// The byte that two hexadecimal digits stand for.
fn byte_of(digits: &str) -> Option<u8> {
    // The parser of numbers would accept a sign.
    let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    are_digits.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// Decodes one name or value of a query or a form, in which a plus is a space. Signatures decode a query
/// alike (`docs/protocol.md` section 4.1), so that no two queries of different meaning share one. SDKs send
/// neither.
pub(super) fn decode_plus(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        decode(&text.replace('+', " ")).map(|decoded| Cow::Owned(decoded.into_owned()))
    } else {
        decode(text)
    }
}

/// The names and values of a query or form, still encoded.
pub(super) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_a_plus_in_a_path_stays_a_plus() {
        assert_eq!(decode("us-east-1%3Aab").as_deref(), Some("us-east-1:ab"));
        assert_eq!(decode("us-east-1:ab").as_deref(), Some("us-east-1:ab"));
        assert_eq!(decode("a+b%2Bc%20d").as_deref(), Some("a+b+c d"));
        assert_eq!(decode("%e2%82%AC%00").as_deref(), Some("€\0"));
        assert_eq!(decode("%2541").as_deref(), Some("%41"));
    }

    #[test]
    fn broken_escapes_and_bytes_that_are_no_utf8_are_refused() {
        for text in ["%", "%4", "a%", "%zz", "%+1", "%%41", "%ff", "%c3%28", "%ed%a0%80", "%41%"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_plus_in_a_query_or_form_is_a_space() {
        assert_eq!(decode_plus("a+b%2Bc%20d").as_deref(), Some("a b+c d"));
        assert_eq!(decode_plus("a%2Bb").as_deref(), Some("a+b"));
        assert_eq!(decode_plus("%+41"), None);
    }

    #[test]
    fn everything_but_unreserved_characters_is_encoded() {
        assert_eq!(encode("us-east-1:A_z.9~/ +€").to_string(), "us-east-1%3AA_z.9~%2F%20%2B%E2%82%AC");
    }

    #[test]
    fn a_pair_without_an_equals_sign_has_an_empty_value() {
        let all: Vec<_> = pairs("a=1&b&&c=2=3").collect();
        assert_eq!(all, [("a", "1"), ("b", ""), ("c", "2=3")]);
    }
}
