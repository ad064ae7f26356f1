//! The root developer key: the only key that exists without being created through the API or a command.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carryall_core::ids::AccessKeyId;
use secrecy::SecretString;

use crate::clock::Clock;

/// The root developer key. It is kept in the settings or the data directory, never in the store.
#[derive(Clone, Debug)]
pub struct RootKey {
    /// The access key id.
    pub access_key_id: AccessKeyId,
    /// The secret access key.
    pub secret: SecretString,
}

impl RootKey {
    /// Generates a key in the format of credential files and validators: `AKIA` and 16 more characters, and a
    /// secret of 40.
    pub fn generate(clock: &Clock) -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letters = random::<16>(clock).map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
        let id: String = "AKIA".chars().chain(letters).collect();
        #[expect(clippy::expect_used, reason = "twenty upper-case letters and digits are a key id")]
        let access_key_id = AccessKeyId::parse(&id).expect("a made key id is valid");
        Self { access_key_id, secret: STANDARD.encode(random::<30>(clock)).into() }
    }
}

fn random<const BYTES: usize>(clock: &Clock) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    clock.fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_made_root_key_looks_like_one_and_is_not_printed() {
        let clock = Clock::system();
        let key = RootKey::generate(&clock);
        assert_eq!(key.access_key_id.as_str().len(), 20);
        assert!(key.access_key_id.as_str().starts_with("AKIA"));
        assert_eq!(key.secret.expose_secret().len(), 40);
        assert!(!format!("{key:?}").contains(key.secret.expose_secret()));
        assert_ne!(key.access_key_id, RootKey::generate(&clock).access_key_id);
    }
}
