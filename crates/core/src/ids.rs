//! Names and numbers that identify things. A value that exists is valid: it was parsed once, and a parse
//! error names the member and the constraint that it breaks (`docs/protocol.md` section 6.1).

use std::fmt;
use std::sync::Arc;

use crate::shown_key::ShownKey;
use crate::violation::{Constraint, Violation};

/// The longest pool or identity id, in characters.
pub const ID_CHARS_MAX: usize = 55;
/// The longest dataset name, in characters. Its alphabet is ASCII, so this is also the limit in bytes.
pub const DATASET_NAME_CHARS_MAX: usize = 128;
/// The longest device id, in characters.
pub const DEVICE_ID_CHARS_MAX: usize = 256;

const ID_PATTERN: &str = r"[\w-]+:[0-9a-f-]+";
const DATASET_NAME_PATTERN: &str = "[a-zA-Z0-9_.:-]+";

/// Declares an id: an immutable string that clones without copying and prints as itself.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $member:literal, $parse:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses `text`, or returns the constraint that it breaks.
            pub fn parse(text: &str) -> Result<Self, Violation> {
                $parse($member, text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), &*self.0)
            }
        }
    };
}

text_id!(
    /// The id of an identity pool: `region:` and a part of lower-case hexadecimal digits and hyphens.
    PoolId, "identityPoolId", check_namespaced_id
);
text_id!(
    /// The id of an identity within a pool, in the alphabet of [`PoolId`].
    IdentityId, "identityId", check_namespaced_id
);
text_id!(
    /// The name of an identity's dataset: 1 to 128 characters of a small ASCII alphabet.
    DatasetName, "datasetName", check_dataset_name
);
text_id!(
    /// The id of a device that registered for push, or that a client claims to be.
    DeviceId, "deviceId", check_device_id
);
text_id!(
    /// The id of a pair of signing credentials: 16 to 128 upper-case letters and digits.
    AccessKeyId, "accessKeyId", check_access_key_id
);

impl PoolId {
    /// The region in the id: the part before the colon.
    pub fn region(&self) -> &str {
        self.0.split_once(':').map_or("", |(region, _)| region)
    }
}

fn check_length(member: &str, text: &str, chars_max: usize) -> Result<(), Violation> {
    if text.is_empty() {
        return Err(Violation::new(member, text, Constraint::LengthMin(1)));
    }
    if text.chars().count() > chars_max {
        return Err(Violation::new(member, text, Constraint::LengthMax(chars_max as u64)));
    }
    Ok(())
}

fn check_namespaced_id(member: &str, text: &str) -> Result<(), Violation> {
    check_length(member, text, ID_CHARS_MAX)?;
    // `\w` means ASCII here: two spellings of one id must never name two things.
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b) || b == b'-';
    let valid = text.split_once(':').is_some_and(|(region, rest)| {
        !region.is_empty() && region.bytes().all(word) && !rest.is_empty() && rest.bytes().all(digit)
    });
    if valid { Ok(()) } else { Err(Violation::new(member, text, Constraint::Pattern(ID_PATTERN))) }
}

fn check_dataset_name(member: &str, text: &str) -> Result<(), Violation> {
    check_length(member, text, DATASET_NAME_CHARS_MAX)?;
    let valid = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
    if valid { Ok(()) } else { Err(Violation::new(member, text, Constraint::Pattern(DATASET_NAME_PATTERN))) }
}

fn check_device_id(member: &str, text: &str) -> Result<(), Violation> {
    check_length(member, text, DEVICE_ID_CHARS_MAX)
}

fn check_access_key_id(member: &str, text: &str) -> Result<(), Violation> {
    if text.len() < 16 {
        return Err(Violation::new(member, text, Constraint::LengthMin(16)));
    }
    check_length(member, text, 128)?;
    let valid = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if valid { Ok(()) } else { Err(Violation::new(member, text, Constraint::Pattern(r"[\w]+"))) }
}

/// The key of a record: any Unicode text of 1 to `key_bytes_max` bytes in UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(Arc<str>);

impl RecordKey {
    /// Parses `text`. `member` is its place in the request, and `bytes_max` is the configured limit.
    pub fn parse(member: &str, text: &str, bytes_max: usize) -> Result<Self, Violation> {
        if text.is_empty() {
            return Err(Violation::new(member, text, Constraint::LengthMin(1)));
        }
        if text.len() > bytes_max {
            return Err(Violation::new(member, ShownKey(text), Constraint::LengthMax(bytes_max as u64)));
        }
        Ok(Self(Arc::from(text)))
    }

    /// Wraps a key that was valid when it was stored. A limit that was lowered since must not hide data.
    pub fn from_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The beginning of the key, for texts that its owner reads.
    pub fn shown(&self) -> ShownKey<'_> {
        ShownKey(&self.0)
    }

    /// The key's text, without a copy.
    pub fn into_text(self) -> Arc<str> {
        self.0
    }
}

/// Shows nothing of the key, because logs print this form and keys are user data.
impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&ShownKey(&self.0), f)
    }
}

/// Declares a counter or random number as a type, so that it is not mistaken for another.
macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number_id!(
    /// The number of a dataset's successful updates and deletions, or that number at a record's last change.
    /// It never falls (`docs/protocol.md` section 7.1).
    SyncCount
);
number_id!(
    /// The number of deletions of a dataset name (`docs/protocol.md` section 7.8).
    Generation
);
number_id!(
    /// Distinguishes a pool from earlier pools of the same id: a random number chosen when the pool is
    /// created (`docs/protocol.md` section 5.6).
    PoolIncarnation
);
number_id!(
    /// A number that is raised to end credentials of an identity before they expire (`docs/protocol.md`
    /// section 5.6).
    IdentityEpoch
);
number_id!(
    /// The random id of a sync session, which lasts from a ListRecords to the UpdateRecords that uses it up
    /// (`docs/protocol.md` section 7.4).
    SessionId
);
number_id!(
    /// The random id of one claim of a lane of the outbox (`docs/protocol.md` section 13.2).
    LeaseId
);
number_id!(
    /// The number of changes of a row that several operations edit, by which a decision on an outdated copy
    /// is noticed.
    Version
);

impl SyncCount {
    /// The count before the first update, and of a name that does not exist.
    pub const ZERO: Self = Self(0);

    /// The next count.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Generation {
    /// The generation after one more deletion.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Version {
    /// The version after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_ids_follow_the_published_pattern() {
        for good in ["us-east-1:0b0a6d4e-1111-2222-3333-444455556666", "a:0", "x_y-z:---", "eu_1:abcdef09-"] {
            assert_eq!(PoolId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ":0", "a:", "a", "us east:0", "a:0G", "a:0A", "a:0:0", "é:0", "a:0\u{0}"] {
            assert!(PoolId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_longer_than_the_model_allows_are_refused_by_length() {
        let id = format!("us-east-1:{}", "0".repeat(46));
        let violation = IdentityId::parse(&id).unwrap_err();
        assert_eq!(violation.constraint, Constraint::LengthMax(55));
        assert_eq!(violation.member, "identityId");
        assert!(IdentityId::parse(&id[..55]).is_ok());
    }

    #[test]
    fn the_region_is_the_part_before_the_colon() {
        assert_eq!(PoolId::parse("eu-west-1:0").unwrap().region(), "eu-west-1");
    }

    #[test]
    fn dataset_names_take_colons_and_dots_but_no_spaces() {
        assert!(DatasetName::parse("prefs.us-east-1:abc_1").is_ok());
        assert!(DatasetName::parse("a b").is_err());
        assert!(DatasetName::parse(&"n".repeat(128)).is_ok());
        assert!(DatasetName::parse(&"n".repeat(129)).is_err());
    }

    #[test]
    fn record_keys_are_limited_in_bytes_not_characters() {
        assert!(RecordKey::parse("key", &"é".repeat(512), 1024).is_ok());
        assert!(RecordKey::parse("key", &"é".repeat(513), 1024).is_err());
        assert!(RecordKey::parse("key", "\u{0}", 1024).is_ok());
        assert!(RecordKey::parse("key", "", 1024).is_err());
    }
}
