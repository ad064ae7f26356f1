//! Keys that come with the settings: from the environment alone, so that they stand in no file or process list.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use carryall_core::ids::AccessKeyId;
use secrecy::SecretString;

use super::{ConfigError, refuse};
use crate::clock::Clock;
use crate::trust::seal::MasterKey;

/// The root developer key. It is kept in the settings or the data directory, never in the store.
#[derive(Clone, Debug)]
pub struct RootKey {
    /// The public half.
    pub access_key_id: AccessKeyId,
    /// The secret half.
    pub secret: SecretString,
}

impl RootKey {
    /// Makes a key in the form that credential files and validators know: `AKIA` and 16 more characters, and a secret
    /// of 40.
    pub fn generate() -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let letters = random::<16>().map(|byte| char::from(LETTERS[usize::from(byte & 31)]));
        let id: String = "AKIA".chars().chain(letters).collect();
        #[expect(clippy::expect_used, reason = "twenty upper-case letters and digits are a key id")]
        let access_key_id = AccessKeyId::parse(&id).expect("a made key id is valid");
        Self { access_key_id, secret: STANDARD.encode(random::<30>()).into() }
    }
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    Clock::default().fill(&mut bytes);
    bytes
}

/// Keys that come with the settings: from the environment alone, so that they stand in no file or process list.
#[derive(Default)]
pub struct Secrets {
    /// The root developer key, if set.
    pub root: Option<RootKey>,
    /// The master key, if set.
    pub master: Option<MasterKey>,
}

impl Secrets {
    /// Reads the keys through `variable`, which looks up an environment variable. Messages never repeat a value.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let filled = |name: &str| variable(name).filter(|value| !value.is_empty());
        let (id_name, secret_name) = ("CARRYALL_ROOT_ACCESS_KEY_ID", "CARRYALL_ROOT_SECRET_ACCESS_KEY");
        let root = match (filled(id_name), filled(secret_name)) {
            (None, None) => None,
            (Some(id), Some(secret)) => Some(RootKey {
                access_key_id: AccessKeyId::parse(&id).map_err(|why| refuse(id_name, why))?,
                secret: secret.into(),
            }),
            (Some(_), None) => {
                return Err(refuse(id_name, format_args!("{secret_name} must be set with it")));
            }
            (None, Some(_)) => {
                return Err(refuse(secret_name, format_args!("{id_name} must be set with it")));
            }
        };
        let master = filled("CARRYALL_MASTER_KEY")
            .map(|text| MasterKey::from_base64(&text).map_err(|why| refuse("CARRYALL_MASTER_KEY", why)))
            .transpose()?;
        Ok(Self { root, master })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn half_a_root_key_is_refused_and_no_secret_is_repeated() {
        let only_secret =
            |name: &str| (name == "CARRYALL_ROOT_SECRET_ACCESS_KEY").then(|| "hunter2".to_owned());
        let message = Secrets::read(only_secret).err().unwrap().to_string();
        assert!(message.contains("CARRYALL_ROOT_ACCESS_KEY_ID") && !message.contains("hunter2"), "{message}");
        let bad_master = |name: &str| (name == "CARRYALL_MASTER_KEY").then(|| "hunter2".to_owned());
        let message = Secrets::read(bad_master).err().unwrap().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn a_made_root_key_looks_like_one_and_is_not_printed() {
        let key = RootKey::generate();
        assert_eq!(key.access_key_id.as_str().len(), 20);
        assert!(key.access_key_id.as_str().starts_with("AKIA"));
        assert_eq!(key.secret.expose_secret().len(), 40);
        assert!(!format!("{key:?}").contains(key.secret.expose_secret()));
        assert_ne!(key.access_key_id, RootKey::generate().access_key_id);
    }
}
