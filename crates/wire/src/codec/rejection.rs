//! Why a request could not be read, precisely, and what its caller is told.
//!
//! Broken constraints are not among these: what is rejected here never became an input.

use std::fmt;

use crate::fault::{Fault, FaultKind};
use crate::service::Service;

/// The deepest nesting of a body, in brackets; the deepest input needs six.
pub const JSON_DEPTH_MAX: usize = 32;

/// The longest part of a caller's own text that is repeated in a message.
const ECHO_CHARACTERS_MAX: usize = 256;

/// Why a request could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No operation has this path.
    UnknownPath,
    /// No operation has this target.
    UnknownTarget,
    /// A `POST /` that has neither a target nor a form that names an action.
    NoTarget,
    /// No operation of STS has this action and version.
    UnknownAction {
        /// The action, as far as it is fit to print.
        action: String,
        /// The version that the form names, as far as it is fit to print.
        version: String,
    },
    /// The path has operations, but none with this method.
    MethodNotAllowed {
        /// The methods that it has, as in an `Allow` header.
        allow: &'static str,
    },
    /// The body is coded in another way than `chunked`, which nothing here undoes.
    TransferCoding,
    /// A path segment is empty, `.` or `..`, as it is or after decoding.
    PathSegment,
    /// A path segment has a broken escape, or is not UTF-8 after decoding.
    PathEncoding,
    /// A query member has a broken escape, or is not UTF-8 after decoding.
    QueryEncoding {
        /// The name in the query.
        name: &'static str,
    },
    /// A query member comes twice.
    QueryDuplicate {
        /// The name in the query.
        name: &'static str,
    },
    /// A query member should be an integer and is not.
    QueryNumber {
        /// The name in the query.
        name: &'static str,
        /// What came, as far as it is fit to print.
        value: String,
    },
    /// The body is not UTF-8.
    BodyNotUtf8,
    /// The body nests deeper than [`super::JSON_DEPTH_MAX`].
    BodyTooDeep,
    /// The body escapes one half of a surrogate pair without the other, which stands for no character.
    BodyUnpairedSurrogate,
    /// A list or map has more entries than the operation reads.
    TooManyEntries {
        /// The broken constraint, with member and limit.
        message: String,
    },
    /// The body is not what the operation reads: broken, of wrong types, or with a member twice.
    BodyMalformed {
        /// What is wrong, with the member or the place if it is known.
        message: String,
    },
    /// The envelope of the RPC form names another operation or service than the target does.
    Envelope {
        /// Which of its members disagrees.
        member: &'static str,
    },
}

impl Rejection {
    /// The answer of `service` to the caller.
    pub fn fault(&self, service: Service) -> Fault {
        Fault::new(self.kind(service), self.to_string())
    }

    /// The methods that the path has, for the `Allow` header that a 405 needs.
    pub fn allow(&self) -> Option<&'static str> {
        if let Self::MethodNotAllowed { allow } = self { Some(allow) } else { None }
    }

    fn kind(&self, service: Service) -> FaultKind {
        match self {
            Self::UnknownPath
            | Self::UnknownTarget
            | Self::NoTarget
            | Self::UnknownAction { .. }
            | Self::PathSegment => FaultKind::UnknownOperation,
            Self::MethodNotAllowed { .. } => FaultKind::MethodNotAllowed,
            Self::QueryNumber { .. } | Self::TooManyEntries { .. } => FaultKind::broken_constraint(service),
            Self::PathEncoding
            | Self::QueryEncoding { .. }
            | Self::QueryDuplicate { .. }
            | Self::BodyNotUtf8
            | Self::BodyTooDeep
            | Self::BodyUnpairedSurrogate
            | Self::TransferCoding
            | Self::BodyMalformed { .. }
            | Self::Envelope { .. } => FaultKind::Serialization,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPath => formatter.write_str("No operation has this path."),
            Self::UnknownTarget => formatter.write_str("No operation has this X-Amz-Target."),
            Self::NoTarget => formatter.write_str("POST / needs an X-Amz-Target, or a form with an Action."),
            Self::UnknownAction { action, version } => {
                write!(formatter, "Could not find operation {action} for version {version}.")
            }
            Self::MethodNotAllowed { allow } => write!(formatter, "This path takes {allow}."),
            Self::TransferCoding => formatter
                .write_str("Transfer-Encoding must be 'chunked' alone; other codings are not undone."),
            Self::PathSegment => formatter.write_str("A path segment must not be empty, '.' or '..'."),
            Self::PathEncoding => formatter.write_str("A path segment is not percent-encoded UTF-8."),
            Self::QueryEncoding { name } => {
                write!(formatter, "The value of '{name}' in the query is not percent-encoded UTF-8.")
            }
            Self::QueryDuplicate { name } => {
                write!(formatter, "'{name}' occurs more than once in the query.")
            }
            Self::QueryNumber { name, value } => write!(
                formatter,
                "1 validation error detected: Value '{value}' at '{name}' failed to satisfy constraint: \
                 Member must be an integer"
            ),
            Self::BodyNotUtf8 => formatter.write_str("The body is not UTF-8."),
            Self::BodyTooDeep => {
                write!(formatter, "The body nests deeper than {JSON_DEPTH_MAX} levels.")
            }
            Self::BodyUnpairedSurrogate => {
                formatter.write_str("The body has an escape of an unpaired surrogate.")
            }
            Self::BodyMalformed { message } | Self::TooManyEntries { message } => {
                formatter.write_str(message)
            }
            Self::Envelope { member } => {
                write!(formatter, "The envelope's '{member}' is not the one that X-Amz-Target names.")
            }
        }
    }
}

impl std::error::Error for Rejection {}

/// The beginning of a text that came from outside, short enough to be repeated.
pub(super) fn echo(text: &str) -> String {
    text.chars().take(ECHO_CHARACTERS_MAX).collect()
}
