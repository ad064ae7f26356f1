//! The ports: the outgoing calls of the server and their outcomes. Inputs are plain strings and bytes,
//! outcomes are small enums, and no type of a client library appears here.
//!
//! A port is cheap to create and to hold, and connects on first use. Each call is a single attempt: the
//! caller decides on retries. Every message has an id, because a lost answer leads to a second delivery of
//! the same message, which receivers detect by the id.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

use crate::answer_memory::AnswerMemory;

/// The reason why an effect did not reach its peer, by remedy.
///
/// A cause is one plain line of bounded length for operators. It contains no secret, no token and no record's
/// value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The peer is unreachable, throttles, has an internal error or is out of time, or its answer was lost:
    /// the same call may succeed later.
    Retry {
        /// The cause.
        cause: String,
    },
    /// The destination is gone or denies access: calls cannot succeed until someone repairs it.
    Gone {
        /// The cause, which says what has to be repaired.
        cause: String,
    },
    /// The peer will always refuse this message.
    Refused {
        /// The cause, which says what is wrong with the message.
        cause: String,
    },
}

/// The outcome of a call, as a boxed future, so that ports can be trait objects.
pub type Outcome<'a, T, E = Undelivered> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// The result of a check.
pub type Checked<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// One step of a check, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The action that was tried.
    pub what: String,
    /// The error, if there was one.
    pub trouble: Option<String>,
}

/// One message to a stream.
#[derive(Clone)]
pub struct StreamMessage {
    /// The message's id, the same in each repetition.
    pub event_id: String,
    /// The key that keeps messages in order, if the destination has keys.
    pub partition_key: String,
    /// The message: one JSON object on one line.
    pub json: Bytes,
}

/// Shows the size of the message, whose contents are records.
impl fmt::Debug for StreamMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamMessage({}, {} bytes)", self.event_id, self.json.len())
    }
}

/// A stream, to which messages are appended in the order of their puts.
pub trait StreamPort: Send + Sync {
    /// The largest message, JSON and partition key together, in bytes; `None` if there is no such limit.
    fn message_bytes_max(&self) -> Option<usize>;

    /// Appends one message. Success means that the destination has stored it.
    fn put(&self, message: StreamMessage) -> Outcome<'_, ()>;

    /// Checks the destination without putting a message.
    fn check(&self) -> Checked<'_>;
}

/// The push services of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Amazon Device Messaging.
    Adm,
    /// Apple Push Notification service.
    Apns,
    /// Apple's sandbox, for development builds.
    ApnsSandbox,
    /// Google's service.
    Gcm,
}

impl Platform {
    /// Parses the platform's name as AWS spells it.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ADM" => Some(Self::Adm),
            "APNS" => Some(Self::Apns),
            "APNS_SANDBOX" => Some(Self::ApnsSandbox),
            "GCM" => Some(Self::Gcm),
            _ => None,
        }
    }

    /// The platform's name as AWS spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adm => "ADM",
            Self::Apns => "APNS",
            Self::ApnsSandbox => "APNS_SANDBOX",
            Self::Gcm => "GCM",
        }
    }
}

/// A registered device.
#[derive(Clone, Debug)]
pub struct Device {
    /// The device's id in Carryall.
    pub device_id: String,
    /// Its push service.
    pub platform: Platform,
    /// The token from the push service.
    pub token: SecretString,
    /// The result of [`PushPort::register`].
    pub endpoint: String,
}

/// The message to a device: the dataset that changed and its count. The `source` member, always
/// `cognito-sync`, is added when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushMessage {
    /// The message's id, the same in each repetition.
    pub event_id: String,
    /// The pool's id.
    pub identity_pool_id: String,
    /// The identity's id.
    pub identity_id: String,
    /// The dataset's name.
    pub dataset_name: String,
    /// The dataset's count as text, because clients parse it from text.
    pub sync_count: String,
}

/// The reason why a push did not reach its device's push service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushUndelivered {
    /// The device's endpoint is disabled or deleted: pushes cannot succeed until the device registers again.
    EndpointDead {
        /// The cause.
        cause: String,
    },
    /// The failure is not about the device.
    Other(Undelivered),
}

impl From<Undelivered> for PushUndelivered {
    fn from(undelivered: Undelivered) -> Self {
        Self::Other(undelivered)
    }
}

/// A platform application, which pushes to devices.
pub trait PushPort: Send + Sync {
    /// Creates the endpoint for a device's token, or finds the existing one and repairs it (enables it,
    /// updates its token). Returns the endpoint's name, for [`Device::endpoint`].
    fn register(&self, token: &SecretString) -> Outcome<'_, String>;

    /// Pushes one message to one device.
    fn publish(&self, device: &Device, message: &PushMessage) -> Outcome<'_, (), PushUndelivered>;

    /// Checks the application without pushing.
    fn check(&self) -> Checked<'_>;
}

/// A call of a trigger's function.
#[derive(Clone)]
pub struct TriggerEvent {
    /// The call's id, for receivers' logs.
    pub event_id: String,
    /// The event: one JSON object.
    pub json: Bytes,
}

/// Shows the size of the event, whose contents are records.
impl fmt::Debug for TriggerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TriggerEvent({}, {} bytes)", self.event_id, self.json.len())
    }
}

/// The reason why a trigger's function returned no answer. The function may have run all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerUndelivered {
    /// The function is called too often.
    Throttled {
        /// The cause.
        cause: String,
    },
    /// There was no answer within the time limit.
    TimedOut {
        /// The time limit.
        milliseconds_max: u64,
    },
    /// The function failed, or its answer is too large. The cause may repeat the function's own error
    /// message, cut to a bounded length.
    FunctionError {
        /// The cause, from the function or its host.
        cause: String,
    },
    /// The function's host is unreachable or has an internal error.
    Unreachable {
        /// The cause.
        cause: String,
    },
    /// The function does not exist, or access to it is denied.
    Gone {
        /// The cause, which says what has to be repaired.
        cause: String,
    },
}

/// A function that is called, and answers, while a request waits.
pub trait TriggerPort: Send + Sync {
    /// Calls the function once and returns the bytes of its answer, read as far as `memory` is granted.
    /// `time_max` covers everything, from fetching credentials to the last byte.
    fn invoke(
        &self,
        event: TriggerEvent,
        time_max: Duration,
        memory: AnswerMemory,
    ) -> Outcome<'_, Bytes, TriggerUndelivered>;

    /// Checks the function without running it.
    fn check(&self) -> Checked<'_>;
}

/// The destination of stream payloads that are too large for the stream.
pub trait LargeObjectPort: Send + Sync {
    /// Puts an object under `key` and returns a presigned URL to get it. A second put of the same key
    /// replaces the object. The URL expires after its lifetime, or earlier with the temporary credentials
    /// that signed it.
    fn put(&self, key: &str, json: Bytes) -> Outcome<'_, String>;

    /// Checks the bucket by writing one small object with a fixed key.
    fn check(&self) -> Checked<'_>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_token_and_no_record() {
        let json = Bytes::from_static(b"private");
        let device = Device {
            device_id: "device".to_owned(),
            platform: Platform::Gcm,
            token: "private".into(),
            endpoint: "endpoint".to_owned(),
        };
        let shown = [
            format!("{device:?}"),
            format!("{:?}", TriggerEvent { event_id: "e".to_owned(), json: json.clone() }),
            format!("{:?}", StreamMessage { event_id: "e".to_owned(), partition_key: "k".to_owned(), json }),
        ];
        assert!(shown.iter().all(|text| !text.contains("private")), "{shown:?}");
    }

    #[test]
    fn a_platform_is_spelt_as_aws_spells_it() {
        for platform in [Platform::Adm, Platform::Apns, Platform::ApnsSandbox, Platform::Gcm] {
            assert_eq!(Platform::parse(platform.name()), Some(platform));
        }
        assert_eq!(Platform::parse("gcm"), None);
    }
}
