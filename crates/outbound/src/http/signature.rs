//! Signs requests, so that a receiver can verify that they come from this server and when they were made.
//!
//! `Carryall-Signature` is `v1=` and the lower-case hex of HMAC-SHA256, keyed with the destination's secret,
//! over the values of `Carryall-Timestamp` (seconds since 1970) and `Carryall-Event-Id`, each followed by a
//! line feed, and the body's bytes. The id is signed because receivers detect repetitions by it. A receiver
//! computes the signature from the raw body, compares it in constant time, and refuses timestamps that are
//! off by more than, for example, five minutes. Repetitions of a message have the same `Carryall-Event-Id`
//! and new timestamps.

use std::fmt::Write;

use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretString};

/// The value of `Carryall-Signature`.
pub(super) fn sign(secret: &SecretString, unix_seconds: u64, event_id: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{unix_seconds}\n{event_id}\n").as_bytes());
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
        // printf '1700000000\nevent-1\n{"a":1}' | openssl dgst -sha256 -hmac 'secret'
        assert_eq!(
            sign(&"secret".into(), 1_700_000_000, "event-1", b"{\"a\":1}"),
            "v1=7177683985cf7beb3537ac393335dc63d41a78d7d9dd9ab578d1350d60da4bdb"
        );
    }

    #[test]
    fn time_id_body_and_secret_all_count() {
        let signed = sign(&"secret".into(), 1, "id", b"body");
        assert_ne!(signed, sign(&"secret".into(), 2, "id", b"body"));
        assert_ne!(signed, sign(&"secret".into(), 1, "ie", b"body"));
        assert_ne!(signed, sign(&"secret".into(), 1, "id", b"bodz"));
        assert_ne!(signed, sign(&"other".into(), 1, "id", b"body"));
    }
}
