//! Keys given with the settings. They come from the environment alone, so that no file or process list has
//! them.

use carryall_core::ids::AccessKeyId;

use super::error::{ConfigError, refuse};
use crate::trust::root_key::RootKey;
use crate::trust::seal::MasterKey;

/// The keys given with the settings.
#[derive(Default)]
pub struct Secrets {
    /// The root developer key, if set.
    pub root: Option<RootKey>,
    /// The master key, if set.
    pub master: Option<MasterKey>,
}

impl Secrets {
    /// Reads the keys through `variable`, which looks up an environment variable. Errors never repeat a
    /// value.
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
}
