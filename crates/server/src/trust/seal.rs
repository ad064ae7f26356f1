//! Sealing: values that leave the server and return, or lie in a store, and that others can neither read nor
//! change (`docs/protocol.md` section 5.2).
//!
//! There is one master key, and one derived key per purpose, so that one kind of value never opens as
//! another. The cipher is AES-256-GCM-SIV, which stays safe if a random nonce should ever repeat.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::clock::Clock;

/// The first byte of every sealed value. Version 1 is a 12-byte nonce and AES-256-GCM-SIV.
const SEAL_VERSION: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
/// The longest token that is opened, in characters; the longest issued one has about 2,200.
pub const TOKEN_CHARS_MAX: usize = 8192;

/// The key from which all others are derived; every node of an installation shares it.
pub struct MasterKey(SecretBox<[u8; KEY_BYTES]>);

/// A text that is not a master key.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAMasterKey;

impl std::fmt::Display for NotAMasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a master key is {KEY_BYTES} bytes in base64")
    }
}

impl MasterKey {
    /// Parses a key written as base64, ignoring white space around it.
    pub fn from_base64(text: &str) -> Result<Self, NotAMasterKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| NotAMasterKey)?;
        Ok(Self(SecretBox::new(Box::new(bytes.try_into().map_err(|_| NotAMasterKey)?))))
    }

    /// Generates a new key.
    pub fn generate(clock: &Clock) -> Self {
        Self(SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| clock.fill(bytes)))
    }

    /// The key as base64, for the only file that keeps it.
    pub fn to_base64(&self) -> SecretString {
        STANDARD.encode(self.0.expose_secret()).into()
    }
}

/// The purpose of a sealed value. Each purpose has its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Session tokens of temporary credentials.
    Credentials,
    /// Sync session tokens.
    SyncSession,
    /// Page tokens.
    Page,
    /// Secrets of developer keys at rest.
    DeveloperSecret,
    /// The value that shows to which master key a store belongs.
    MasterKeyCheck,
}

impl Purpose {
    const ALL: [Self; 5] =
        [Self::Credentials, Self::SyncSession, Self::Page, Self::DeveloperSecret, Self::MasterKeyCheck];

    fn label(self) -> &'static str {
        match self {
            Self::Credentials => "carryall/1/credentials",
            Self::SyncSession => "carryall/1/sync-session",
            Self::Page => "carryall/1/page",
            Self::DeveloperSecret => "carryall/1/developer-secret",
            Self::MasterKeyCheck => "carryall/1/master-key-check",
        }
    }
}

/// Seals and opens values, and derives keys for other uses.
pub struct Sealer {
    keys: [LessSafeKey; Purpose::ALL.len()],
    secrets: hmac::Key,
    token_seed: SecretBox<[u8; KEY_BYTES]>,
    clock: Clock,
}

/// The length of every derived key.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl Sealer {
    /// Derives all keys of the installation from `master`.
    #[expect(
        clippy::expect_used,
        reason = "derivation fails only for lengths that the constants above rule out"
    )]
    pub fn new(master: &MasterKey, clock: Clock) -> Self {
        let root = Salt::new(HKDF_SHA256, b"carryall master key").extract(master.0.expose_secret());
        let derive = |label: &str| -> [u8; KEY_BYTES] {
            let mut key = [0; KEY_BYTES];
            let info = [label.as_bytes()];
            root.expand(&info, Derived)
                .and_then(|okm| okm.fill(&mut key))
                .expect("32 bytes are within what HKDF gives");
            key
        };
        let sealing = |purpose: Purpose| {
            let key = UnboundKey::new(&AES_256_GCM_SIV, &derive(purpose.label()));
            LessSafeKey::new(key.expect("the key has the cipher's length"))
        };
        Self {
            keys: Purpose::ALL.map(sealing),
            secrets: hmac::Key::new(hmac::HMAC_SHA256, &derive("carryall/1/temporary-secret")),
            token_seed: SecretBox::new(Box::new(derive("carryall/1/identity-token"))),
            clock,
        }
    }

    fn key(&self, purpose: Purpose) -> &LessSafeKey {
        &self.keys[purpose as usize]
    }

    /// Seals `plain` for `purpose`.
    #[expect(clippy::expect_used, reason = "sealing fails only beyond 64 gigabytes")]
    pub fn seal(&self, purpose: Purpose, mut plain: Vec<u8>) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        self.clock.fill(&mut nonce);
        self.key(purpose)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from([SEAL_VERSION]),
                &mut plain,
            )
            .expect("the value is short");
        let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + plain.len());
        sealed.push(SEAL_VERSION);
        sealed.extend(nonce);
        sealed.extend(plain);
        sealed
    }

    /// Opens a value of [`Self::seal`] for the same purpose; `None` for anything else.
    pub fn open(&self, purpose: Purpose, sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES)?;
        if *version != SEAL_VERSION {
            return None;
        }
        let mut buffer = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce.try_into().ok()?);
        let plain_bytes =
            self.key(purpose).open_in_place(nonce, Aad::from([SEAL_VERSION]), &mut buffer).ok()?.len();
        buffer.truncate(plain_bytes);
        Some(buffer)
    }

    /// Seals `plain` into text that URLs and headers carry unchanged.
    pub fn seal_text(&self, purpose: Purpose, plain: Vec<u8>) -> String {
        URL_SAFE_NO_PAD.encode(self.seal(purpose, plain))
    }

    /// Opens a text of [`Self::seal_text`].
    pub fn open_text(&self, purpose: Purpose, text: &str) -> Option<Vec<u8>> {
        if text.len() > TOKEN_CHARS_MAX {
            return None;
        }
        self.open(purpose, &URL_SAFE_NO_PAD.decode(text).ok()?)
    }

    /// The secret access key of temporary credentials: a function of their sealed token, so that it is not
    /// stored.
    pub fn temporary_secret(&self, token: &str) -> SecretString {
        let tag = hmac::sign(&self.secrets, token.as_bytes());
        // Forty characters is the length that credential files and validators expect.
        STANDARD.encode(&tag.as_ref()[..30]).into()
    }

    /// The seed of the key that signs identity tokens.
    pub fn identity_token_seed(&self) -> &SecretBox<[u8; KEY_BYTES]> {
        &self.token_seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(byte: u8) -> Sealer {
        let master = MasterKey::from_base64(&STANDARD.encode([byte; KEY_BYTES])).unwrap();
        Sealer::new(&master, Clock::system())
    }

    #[test]
    fn what_is_sealed_opens_for_its_purpose_and_no_other() {
        let sealer = sealer(1);
        let sealed = sealer.seal_text(Purpose::SyncSession, b"value".to_vec());
        assert_eq!(sealer.open_text(Purpose::SyncSession, &sealed).as_deref(), Some(&b"value"[..]));
        for other in Purpose::ALL.into_iter().filter(|purpose| *purpose != Purpose::SyncSession) {
            assert_eq!(sealer.open_text(other, &sealed), None);
        }
    }

    #[test]
    fn another_master_key_opens_nothing() {
        let sealed = sealer(1).seal(Purpose::Page, b"value".to_vec());
        assert_eq!(sealer(2).open(Purpose::Page, &sealed), None);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealer = sealer(1);
        let sealed = sealer.seal(Purpose::Page, b"value".to_vec());
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(sealer.open(Purpose::Page, &changed), None, "byte {index}");
        }
        for length in 0..sealed.len() {
            assert_eq!(sealer.open(Purpose::Page, &sealed[..length]), None, "length {length}");
        }
    }

    #[test]
    fn a_master_key_has_32_bytes() {
        assert!(MasterKey::from_base64("c2hvcnQ=").is_err());
        let key = MasterKey::generate(&Clock::system());
        assert!(MasterKey::from_base64(key.to_base64().expose_secret()).is_ok());
    }

    #[test]
    fn temporary_secrets_are_a_function_of_token_and_master_key() {
        let secret = |byte, token| sealer(byte).temporary_secret(token).expose_secret().to_owned();
        assert_eq!(secret(1, "token"), secret(1, "token"));
        assert_ne!(secret(1, "token"), secret(1, "other"));
        assert_ne!(secret(1, "token"), secret(2, "token"));
        assert_eq!(secret(1, "token").len(), 40);
    }
}
