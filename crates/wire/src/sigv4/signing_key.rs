//! The signing key: derived from a secret access key for one day, region and service. It does not keep the
//! secret's text.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::SCOPE_END;
use super::digest::Hex64;
use super::scope::Scope;

const SECRET_PREFIX: &str = "AWS4";

/// A secret access key narrowed to one scope. Its `Debug` form shows the algorithm alone.
#[derive(Debug)]
pub struct SigningKey(hmac::Key);

impl SigningKey {
    /// Derives the key of a scope with four HMACs, which [`super::KeyCache`] saves most requests.
    pub fn derive(secret_access_key: &SecretString, scope: &Scope<'_>) -> Self {
        let secret = secret_access_key.expose_secret();
        let mut prefixed = Vec::with_capacity(SECRET_PREFIX.len() + secret.len());
        prefixed.extend_from_slice(SECRET_PREFIX.as_bytes());
        prefixed.extend_from_slice(secret.as_bytes());
        let prefixed = SecretSlice::from(prefixed);
        let start = hmac::Key::new(hmac::HMAC_SHA256, prefixed.expose_secret());
        let parts: [&str; 4] = [&scope.day, &scope.region, &scope.service, SCOPE_END];
        Self(parts.iter().fold(start, |key, part| {
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
        }))
    }

    /// The signature of a string to sign.
    pub(crate) fn signature(&self, string_to_sign: &str) -> Hex64 {
        Hex64::of(hmac::sign(&self.0, string_to_sign.as_bytes()).as_ref())
    }

    /// True if `presented` is the signature of a string to sign, compared in constant time.
    pub(crate) fn is_signature(&self, string_to_sign: &str, presented: &str) -> bool {
        verify_slices_are_equal(self.signature(string_to_sign).as_bytes(), presented.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_secret() {
        let scope = Scope { day: "20150830".into(), region: "us-east-1".into(), service: "iam".into() };
        let key = SigningKey::derive(&SecretString::from("wJalrXUtnFEMI"), &scope);
        let shown = format!("{key:?}");
        assert!(!shown.contains("wJalr") && shown.len() < 60, "{shown}");
    }

    #[test]
    fn only_the_exact_signature_is_taken() {
        let scope = Scope { day: "20150830".into(), region: "us-east-1".into(), service: "iam".into() };
        let key = SigningKey::derive(&SecretString::from("secret"), &scope);
        let good = key.signature("text").as_str().to_owned();
        assert!(key.is_signature("text", &good));
        for bad in ["", &good[1..], &good.to_uppercase(), &format!("{good}0")] {
            assert!(!key.is_signature("text", bad), "{bad}");
        }
        assert!(!key.is_signature("texts", &good));
    }
}
