//! A member that breaks a published constraint, with the message that the service uses for it.

use std::fmt;

/// The largest part of an offending value that a message repeats, in characters.
const QUOTED_VALUE_CHARS_MAX: usize = 128;

/// A broken constraint: the member, its value, and the constraint (`docs/protocol.md` section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The member as messages spell it: lower camel case, dotted when nested.
    pub member: String,
    /// The value as received, shortened; `None` for a missing member.
    pub value: Option<String>,
    /// The constraint.
    pub constraint: Constraint,
}

/// The kinds of constraint in the published model, and the few that it states in prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// The member is required.
    NotNull,
    /// At least this many characters, bytes or entries.
    LengthMin(u64),
    /// At most this many characters, bytes or entries.
    LengthMax(u64),
    /// A regular expression, quoted from the published model.
    Pattern(&'static str),
    /// A closed set of values, in the published order.
    Enum(&'static [&'static str]),
    /// An inclusive lower bound of a number.
    ValueMin(i64),
    /// An inclusive upper bound of a number.
    ValueMax(i64),
    /// A rule that no schema expresses, as a sentence about the member.
    Other(String),
}

impl Violation {
    /// Creates the violation of `constraint` by the `value` of `member`.
    pub fn new(member: impl Into<String>, value: impl fmt::Display, constraint: Constraint) -> Self {
        Self { member: member.into(), value: Some(Self::quoted(&value.to_string())), constraint }
    }

    /// `full`, shortened for a message.
    pub fn quoted(full: &str) -> String {
        let mut quoted: String = full.chars().take(QUOTED_VALUE_CHARS_MAX).collect();
        if quoted.len() < full.len() {
            quoted.push('…');
        }
        quoted
    }

    /// Creates the violation of a required `member` that is missing.
    pub fn missing(member: impl Into<String>) -> Self {
        Self { member: member.into(), value: None, constraint: Constraint::NotNull }
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNull => f.write_str("Member must not be null"),
            Self::LengthMin(min) => write!(f, "Member must have length greater than or equal to {min}"),
            Self::LengthMax(max) => write!(f, "Member must have length less than or equal to {max}"),
            Self::Pattern(pattern) => {
                write!(f, "Member must satisfy regular expression pattern: {pattern}")
            }
            Self::Enum(values) => write!(f, "Member must satisfy enum value set: [{}]", values.join(", ")),
            Self::ValueMin(min) => write!(f, "Member must have value greater than or equal to {min}"),
            Self::ValueMax(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::Other(rule) => f.write_str(rule),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "1 validation error detected: Value '{value}' at '{}'", self.member)?,
            None => write!(f, "1 validation error detected: Value null at '{}'", self.member)?,
        }
        write!(f, " failed to satisfy constraint: {}", self.constraint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_member_value_and_constraint() {
        let violation = Violation::new("datasetName", "a b", Constraint::Pattern("[a-zA-Z0-9_.:-]+"));
        assert_eq!(
            violation.to_string(),
            "1 validation error detected: Value 'a b' at 'datasetName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [a-zA-Z0-9_.:-]+"
        );
    }

    #[test]
    fn a_missing_member_is_null_without_quotes() {
        assert_eq!(
            Violation::missing("syncSessionToken").to_string(),
            "1 validation error detected: Value null at 'syncSessionToken' failed to satisfy constraint: \
             Member must not be null"
        );
    }

    #[test]
    fn a_long_value_is_cut_on_a_character() {
        let violation = Violation::new("recordKey", "é".repeat(5000), Constraint::LengthMax(1024));
        let value = violation.value.unwrap();
        assert_eq!(value.chars().count(), QUOTED_VALUE_CHARS_MAX + 1);
        assert!(value.ends_with('…'));
    }
}
