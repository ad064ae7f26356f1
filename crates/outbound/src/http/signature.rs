//! Signs requests, so that a receiver knows that they come from this server and when they were made.
//!
//! `Carryall-Signature` is `v1=` and the lower-case hex of HMAC-SHA256, keyed with the destination's secret, over the
//! value of `Carryall-Timestamp` (seconds since 1970), a full stop, and the body's bytes. A receiver computes it from
//! the raw body, compares in constant time, and refuses timestamps that are, say, more than five minutes off. Repeats
//! of one message carry the same `Carryall-Event-Id` and new timestamps.

use std::fmt::Write;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

/// The value of `Carryall-Signature`.
pub(super) fn sign(secret: &SecretString, timestamp_unix_s: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(timestamp_unix_s.to_string().as_bytes());
    context.update(b".");
    context.update(body);
    format!("v1={}", hex(context.sign().as_ref()))
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_other_tools_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'secret'
        assert_eq!(
            sign(&"secret".into(), 1_700_000_000, b"{\"a\":1}"),
            "v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
        );
    }

    #[test]
    fn time_body_and_secret_all_count() {
        let signed = sign(&"secret".into(), 1, b"body");
        assert_ne!(signed, sign(&"secret".into(), 2, b"body"));
        assert_ne!(signed, sign(&"secret".into(), 1, b"bodz"));
        assert_ne!(signed, sign(&"other".into(), 1, b"body"));
    }
}
