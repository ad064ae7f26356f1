//! The error of a setting.

use std::fmt::Display;

/// One line that names the setting, or the position in the file, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub(super) String);

impl Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error of one setting.
pub(super) fn refuse(setting: &str, why: impl Display) -> ConfigError {
    ConfigError(format!("setting {setting}: {why}"))
}
