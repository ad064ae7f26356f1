//! The error of operator commands: one line that names the error and its place.

use carryall_core::store::StoreError;
use carryall_core::violation::Violation;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// One line for the operator. It may name causes that callers of the API never see.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperatorError(String);

impl std::fmt::Display for OperatorError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for OperatorError {
    fn from(line: String) -> Self {
        Self(line)
    }
}

impl From<&str> for OperatorError {
    fn from(line: &str) -> Self {
        Self(line.to_owned())
    }
}

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<Violation> for OperatorError {
    fn from(violation: Violation) -> Self {
        Self(violation.to_string())
    }
}

impl From<ConfigError> for OperatorError {
    fn from(error: ConfigError) -> Self {
        Self(error.to_string())
    }
}
