//! The reasons why a request cannot be decoded, and the fault of each.
//!
//! Broken constraints are not among these: a rejected request never became an input.

use std::fmt;

use crate::fault::{Fault, FaultKind};
use crate::service::Service;

/// The deepest nesting of a body, in brackets; the deepest input needs six.
pub const JSON_DEPTH_MAX: usize = 32;

/// The longest part of a client's own text that a message repeats.
const ECHO_CHARACTERS_MAX: usize = 256;

/// The reason why a request cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// No operation has this path.
    UnknownPath,
    /// No operation has this target.
    UnknownTarget,
    /// A `POST /` has neither a target nor a form that names an action.
    NoTarget,
    /// STS has no operation with this action and version.
    UnknownAction {
        /// The action, shortened for a message.
        action: String,
        /// The version that the form names, shortened for a message.
        version: String,
    },
    /// The path has operations, but none with this method.
    MethodNotAllowed {
        /// The path's methods, as in an `Allow` header.
        allow: &'static str,
    },
    /// The body has a transfer coding other than `chunked`, which the server does not decode.
    TransferCoding,
    /// A path segment is empty, `.` or `..`, before or after decoding.
    PathSegment,
    /// A path segment has a broken escape, or is not UTF-8 after decoding.
    PathEncoding,
    /// A query member has a broken escape, or is not UTF-8 after decoding.
    QueryEncoding {
        /// The name in the query.
        name: &'static str,
    },
    /// A query member occurs twice.
    QueryDuplicate {
        /// The name in the query.
        name: &'static str,
    },
    /// A query member should be an integer and is not.
    QueryNumber {
        /// The name in the query.
        name: &'static str,
        /// The value, shortened for a message.
        value: String,
    },
    /// The body is not UTF-8.
    BodyNotUtf8,
    /// The body nests deeper than [`super::JSON_DEPTH_MAX`].
    BodyTooDeep,
    /// The body escapes one half of a surrogate pair without the other, which encodes no character.
    BodyUnpairedSurrogate,
    /// A list or map has more entries than the operation accepts.
    TooManyEntries {
        /// The broken constraint, with member and limit.
        message: String,
    },
    /// The body is broken, has a value of the wrong type, or has a member twice.
    BodyMalformed {
        /// The error, with the member or the position if known.
        message: String,
    },
    /// The envelope of the RPC form names another operation or service than the target.
    Envelope {
        /// The member of the envelope that disagrees.
        member: &'static str,
    },
}

impl Rejection {
    /// The fault with which `service` answers.
    pub fn fault(&self, service: Service) -> Fault {
        Fault::new(self.kind(service), self.to_string())
    }

    /// The path's methods, for the `Allow` header that a 405 needs.
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
                .write_str("Transfer-Encoding must be 'chunked' alone; other codings are not supported."),
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

/// The beginning of a text from outside, short enough to be repeated in a message.
pub(super) fn echo(text: &str) -> String {
    text.chars().take(ECHO_CHARACTERS_MAX).collect()
}
