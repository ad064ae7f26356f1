//! The ports: what the server may ask of the outside, and how that may end. Plain strings and bytes go in, small enums
//! come out; no type of a client library appears here.
//!
//! A port is cheap to make and to hold, and connects when it is first used. Each call is one attempt: whoever calls
//! decides when to try again. Every message carries an id, because an answer that got lost makes a second delivery of
//! the same message; receivers tell repeats by it.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;

/// Why an effect did not reach its peer: three different things to do about it.
///
/// A cause is one plain line of bounded length for operators. It holds no secret, no token and no record's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Unreachable, answer lost, throttled, out of order, out of time: the same again, later, may work.
    Retry {
        /// What happened.
        cause: String,
    },
    /// The destination is gone or refuses us: useless until somebody mends it.
    Gone {
        /// What has to be mended.
        cause: String,
    },
    /// The peer refuses this one message whatever we do.
    Refused {
        /// What is wrong with the message.
        cause: String,
    },
}

/// What a call ends with, as a boxed future, so that ports can be trait objects.
pub type Outcome<'a, T, E = Undelivered> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What a check ends with.
pub type Checked<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// One step of a check, in plain words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: String,
    /// What is wrong, if anything is.
    pub trouble: Option<String>,
}

/// One message to a stream.
#[derive(Clone)]
pub struct StreamMessage {
    /// The same for each repeat of this message.
    pub event_id: String,
    /// Messages of one key stay in order, if the destination has such a notion.
    pub partition_key: String,
    /// The message: one JSON object on one line.
    pub json: Bytes,
}

/// Shows how long the message is; what it says are records.
impl fmt::Debug for StreamMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamMessage({}, {} bytes)", self.event_id, self.json.len())
    }
}

/// A stream that messages are appended to, in the order in which they are put.
pub trait StreamPort: Send + Sync {
    /// The largest message, JSON and partition key together, in bytes; `None` if there is no such limit.
    fn message_bytes_max(&self) -> Option<usize>;

    /// Appends one message. Success means that the destination has it and keeps it.
    fn put(&self, message: StreamMessage) -> Outcome<'_, ()>;

    /// Tries the way to the destination without putting a message.
    fn check(&self) -> Checked<'_>;
}

/// The push services that devices are reached through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Amazon Device Messaging.
    Adm,
    /// Apple's service.
    Apns,
    /// Apple's service for builds under development.
    ApnsSandbox,
    /// Google's service.
    Gcm,
}

impl Platform {
    /// The platform of this name, spelt as AWS spells it.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ADM" => Some(Self::Adm),
            "APNS" => Some(Self::Apns),
            "APNS_SANDBOX" => Some(Self::ApnsSandbox),
            "GCM" => Some(Self::Gcm),
            _ => None,
        }
    }

    /// The name, as AWS spells it.
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
    /// Carryall's id of the device.
    pub device_id: String,
    /// Its push service.
    pub platform: Platform,
    /// The token that the push service gave it.
    pub token: SecretString,
    /// What [`PushPort::register`] answered.
    pub endpoint: String,
}

/// What a device is told: which dataset moved, and to which count. The `source` member, always `cognito-sync`, is
/// added on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushMessage {
    /// The same for each repeat of this message.
    pub event_id: String,
    /// The pool's id.
    pub identity_pool_id: String,
    /// The identity's id.
    pub identity_id: String,
    /// The dataset's name.
    pub dataset_name: String,
    /// The dataset's count, as text: clients parse it from text.
    pub sync_count: String,
}

/// Why a push did not reach its device's push service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushUndelivered {
    /// The device's endpoint is switched off or deleted: useless until the device registers again.
    EndpointDead {
        /// What the peer said.
        cause: String,
    },
    /// It is not about the device.
    Other(Undelivered),
}

impl From<Undelivered> for PushUndelivered {
    fn from(undelivered: Undelivered) -> Self {
        Self::Other(undelivered)
    }
}

/// A platform application, which pushes to devices.
pub trait PushPort: Send + Sync {
    /// Creates the endpoint for a device's token, or finds the one that is there and repairs it (switched on, token
    /// current). The answer names the endpoint, for [`Device::endpoint`].
    fn register(&self, token: &SecretString) -> Outcome<'_, String>;

    /// Pushes one message to one device.
    fn publish(&self, device: &Device, message: &PushMessage) -> Outcome<'_, (), PushUndelivered>;

    /// Tries the way to the application without pushing.
    fn check(&self) -> Checked<'_>;
}

/// One question to a trigger's function.
#[derive(Clone)]
pub struct TriggerEvent {
    /// Names this call, for receivers' logs.
    pub event_id: String,
    /// The event: one JSON object.
    pub json: Bytes,
}

/// Shows how long the event is; what it says are records.
impl fmt::Debug for TriggerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TriggerEvent({}, {} bytes)", self.event_id, self.json.len())
    }
}

/// Why a trigger's function gave no answer. The function may have run all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerUndelivered {
    /// The function is called too often.
    Throttled {
        /// What the peer said.
        cause: String,
    },
    /// No answer within the time given.
    TimedOut {
        /// That time.
        milliseconds_max: u64,
    },
    /// The function ended with an error, or with more bytes than may be answered. The cause may repeat what the
    /// function itself said of its error, cut to a bounded length.
    FunctionError {
        /// What the function, or its host, said.
        cause: String,
    },
    /// The function's host cannot be reached or is out of order.
    Unreachable {
        /// What happened.
        cause: String,
    },
    /// There is no such function, or we may not call it.
    Gone {
        /// What has to be mended.
        cause: String,
    },
}

/// A function that is asked, and answers, while a request waits.
pub trait TriggerPort: Send + Sync {
    /// Asks once and answers the function's bytes. `time_max` covers everything, from finding credentials to the last
    /// byte.
    fn invoke(&self, event: TriggerEvent, time_max: Duration) -> Outcome<'_, Bytes, TriggerUndelivered>;

    /// Tries the way to the function without running it.
    fn check(&self) -> Checked<'_>;
}

/// Where stream payloads go that are too large for the stream.
pub trait LargeObjectPort: Send + Sync {
    /// Puts an object under `key` and answers a presigned URL to get it. Putting the same key again replaces the
    /// object. The URL ends with its lifetime, or earlier with the temporary credentials that signed it.
    fn put(&self, key: &str, json: Bytes) -> Outcome<'_, String>;

    /// Tries the way to the bucket, which writes one small object of a fixed key.
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
