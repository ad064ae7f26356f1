//! The setting that names a store, parsed.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The kind of a store and its address.
///
/// The address of a database server may carry a password; until this version can use one it keeps none of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`: nothing outlives the process.
    Memory,
    /// `embedded:DIR`: everything in one directory.
    Embedded(PathBuf),
    /// `postgres://…`: a database server, in a later version.
    Postgres,
}

/// The error for a setting that names no store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrlError {
    reason: String,
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        let refuse = |reason: &str| Err(StoreUrlError { reason: reason.to_owned() });
        let Some((scheme, rest)) = text.split_once(':') else {
            return refuse(
                "a store is named by embedded:DIR, memory: or postgres://…; for a directory write embedded:DIR",
            );
        };
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => refuse("memory: takes nothing after the colon"),
            "embedded" if rest.is_empty() => {
                refuse("embedded: needs a directory, as in embedded:./carryall-data")
            }
            "embedded" => Ok(Self::Embedded(PathBuf::from(rest))),
            "postgres" | "postgresql" => Ok(Self::Postgres),
            // The rest is not repeated: it may hold a password.
            _ => Err(StoreUrlError {
                reason: format!("no store is called {scheme}:; use embedded:DIR, memory: or postgres://…"),
            }),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Embedded(dir) => write!(f, "embedded:{}", dir.display()),
            Self::Postgres => f.write_str("postgres://…"),
        }
    }
}

impl fmt::Display for StoreUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for StoreUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_parsed() {
        assert_eq!("memory:".parse(), Ok(StoreUrl::Memory));
        assert_eq!("embedded:./a:b".parse(), Ok(StoreUrl::Embedded(PathBuf::from("./a:b"))));
        assert_eq!("postgres://u:p@h/db".parse(), Ok(StoreUrl::Postgres));
    }

    #[test]
    fn a_refusal_says_what_to_write_and_repeats_no_password() {
        for (text, hint) in [
            ("./data", "embedded:DIR"),
            ("embedded:", "needs a directory"),
            ("memory:x", "nothing after the colon"),
            ("mysql://u:secret@h", "mysql:"),
        ] {
            let message = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(message.contains(hint), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
