//! The last step of verification: the signature itself, over the body as received (`docs/protocol.md`
//! sections 4.1 and 4.5), and a message that shows a client's author where the two sides differ.

use super::canonical::{canonical_request, push_encoded, string_to_sign};
use super::digest::BodyHash;
use super::in_scope::InScope;
use super::signing_key::SigningKey;
use super::{MISMATCH_ECHO_BYTES_MAX, Trouble};

const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your \
                        AWS Secret Access Key and signing method. Consult the service documentation for details.";
const TOKEN_SHOWN_AS: &str = "(session token)";

impl InScope<'_> {
    /// Verifies that the signature is that of this request, with this body, under this key.
    ///
    /// Signatures are compared in constant time. The only error is [`Trouble::Mismatch`]. Its message repeats
    /// the canonical request (cut after [`MISMATCH_ECHO_BYTES_MAX`] bytes, without the session token) and the
    /// string to sign, both made from the client's own input.
    pub fn verify(&self, body_hash: &BodyHash, signing_key: &SigningKey) -> Result<(), Trouble> {
        let presented = &self.presented;
        if presented.content_sha256.as_ref().is_some_and(|claimed| claimed != body_hash.as_str()) {
            return Err(Trouble::mismatch(
                "The value of 'X-Amz-Content-Sha256' is not the SHA-256 of the body that was received.",
            ));
        }
        let canonical =
            canonical_request(&presented.parts, &presented.signed_headers, presented.form, body_hash);
        let to_sign = string_to_sign(&presented.requested_at, &presented.scope, &canonical);
        if signing_key.is_signature(&to_sign, &presented.signature) {
            return Ok(());
        }
        let echo = echo_of(&canonical, presented.session_token());
        Err(Trouble::mismatch(format!(
            "{MISMATCH}\n\nThe Canonical String for this request should have been\n'{echo}'\n\n\
             The String-to-Sign should have been\n'{to_sign}'\n"
        )))
    }
}

/// The canonical request as clients and logs may see it: without the session token, and of bounded length.
fn echo_of(canonical: &[u8], session_token: Option<&str>) -> String {
    let mut echo = String::from_utf8_lossy(canonical).into_owned();
    if let Some(token) = session_token {
        let mut encoded = Vec::with_capacity(token.len());
        push_encoded(token.bytes(), &mut encoded);
        echo = echo.replace(token, TOKEN_SHOWN_AS);
        echo = echo.replace(&*String::from_utf8_lossy(&encoded), TOKEN_SHOWN_AS);
    }
    if echo.len() > MISMATCH_ECHO_BYTES_MAX {
        echo.truncate(echo.floor_char_boundary(MISMATCH_ECHO_BYTES_MAX));
        echo.push_str("...");
    }
    echo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_is_cut_between_characters() {
        let echo = echo_of("é".repeat(MISMATCH_ECHO_BYTES_MAX).as_bytes(), None);
        assert_eq!(echo.len(), MISMATCH_ECHO_BYTES_MAX + 3);
        let echo = echo_of(format!("x{}", "é".repeat(MISMATCH_ECHO_BYTES_MAX)).as_bytes(), None);
        assert_eq!(echo.len(), MISMATCH_ECHO_BYTES_MAX - 1 + 3);
    }

    #[test]
    fn the_echo_holds_the_token_in_neither_of_its_spellings() {
        let echo =
            echo_of(b"GET\n/\nX-Amz-Security-Token=a%2Fb%3D\nx-amz-security-token:a/b=\n", Some("a/b="));
        assert_eq!(
            echo,
            "GET\n/\nX-Amz-Security-Token=(session token)\nx-amz-security-token:(session token)\n"
        );
    }

    #[test]
    fn the_echo_of_bytes_that_are_not_text_is_text() {
        assert_eq!(echo_of(b"a\xffb", None), "a\u{fffd}b");
    }
}
