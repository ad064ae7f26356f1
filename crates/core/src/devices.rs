//! The devices of an identity that registered for push, and their subscriptions (`docs/protocol.md` section
//! 9.4). They are one value per identity: an identity has few devices, and every change of one depends on the
//! others.

use std::collections::BTreeSet;
use std::fmt;

use crate::ids::{DatasetName, DeviceId, Version};
use crate::time::UnixMillis;
use crate::violation::{Constraint, Violation};

/// The push platforms (`docs/protocol.md` section 9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Apple Push Notification service.
    Apns,
    /// Apple's sandbox, for development builds.
    ApnsSandbox,
    /// Google.
    Gcm,
    /// Amazon Device Messaging.
    Adm,
}

impl Platform {
    /// The names of the platforms, in the published order.
    pub const NAMES: &'static [&'static str] = &["APNS", "APNS_SANDBOX", "GCM", "ADM"];

    /// Parses a platform's name.
    pub fn parse(name: &str) -> Result<Self, Violation> {
        Self::named(name).ok_or_else(|| Violation::new("platform", name, Constraint::Enum(Self::NAMES)))
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "APNS" => Some(Self::Apns),
            "APNS_SANDBOX" => Some(Self::ApnsSandbox),
            "GCM" => Some(Self::Gcm),
            "ADM" => Some(Self::Adm),
            _ => None,
        }
    }

    /// The platform of a platform application's ARN, `arn:aws:sns:REGION:ACCOUNT:app/PLATFORM/NAME`; `None` if devices
    /// of that platform cannot be registered.
    pub fn of_application(arn: &str) -> Option<Self> {
        arn.rsplit(':').next()?.strip_prefix("app/")?.split('/').next().and_then(Self::named)
    }

    /// The platform's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "APNS",
            Self::ApnsSandbox => "APNS_SANDBOX",
            Self::Gcm => "GCM",
            Self::Adm => "ADM",
        }
    }
}

/// The largest push token, in bytes.
pub const PUSH_TOKEN_BYTES_MAX: usize = 4096;

/// The name that a platform gives to one installation of an app. It is not printed, because anyone who has it
/// can send to that installation.
#[derive(Clone, PartialEq, Eq)]
pub struct PushToken(String);

impl PushToken {
    /// Parses `text`: 1 to [`PUSH_TOKEN_BYTES_MAX`] bytes. The error does not repeat the token.
    pub fn parse(text: &str) -> Result<Self, Violation> {
        if text.is_empty() {
            return Err(Violation::new("token", "", Constraint::LengthMin(1)));
        }
        if text.len() > PUSH_TOKEN_BYTES_MAX {
            let constraint = Constraint::LengthMax(PUSH_TOKEN_BYTES_MAX as u64);
            return Err(Violation::new("token", "(not repeated)", constraint));
        }
        Ok(Self(text.to_owned()))
    }

    /// Wraps a token that was valid when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The token's text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PushToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushToken([redacted])")
    }
}

/// A registered device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The device's id, made by the server.
    pub id: DeviceId,
    /// The device's push platform.
    pub platform: Platform,
    /// The device's push token.
    pub token: PushToken,
    /// The ARN of the platform application that the device is registered with.
    pub application_arn: String,
    /// The endpoint that the push service returned for the device.
    pub endpoint: String,
    /// True while messages are sent; false once the push service has reported that the endpoint is dead.
    pub enabled: bool,
    /// The time of the last registration.
    pub registered: UnixMillis,
    /// The names of the datasets whose changes are sent to the device.
    pub subscriptions: BTreeSet<DatasetName>,
}

/// All devices of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// The version, raised by every change.
    pub version: Version,
    /// The devices in the order of their last registration, oldest first.
    pub devices: Vec<Device>,
}

impl Devices {
    /// The device with this id.
    pub fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == *id)
    }

    /// The devices to notify of a change of the dataset `name` by `writer`.
    pub fn listeners<'a>(
        &'a self,
        name: &'a DatasetName,
        writer: Option<&'a DeviceId>,
    ) -> impl Iterator<Item = &'a Device> + 'a {
        self.devices.iter().filter(move |device| {
            device.enabled && device.subscriptions.contains(name) && Some(&device.id) != writer
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_applications_arn_says_its_platform() {
        let of = |arn| Platform::of_application(arn);
        assert_eq!(of("arn:aws:sns:us-east-1:1:app/GCM/notes"), Some(Platform::Gcm));
        assert_eq!(of("arn:aws:sns:us-east-1:1:app/APNS_SANDBOX/notes"), Some(Platform::ApnsSandbox));
        assert_eq!(of("arn:aws:sns:us-east-1:1:app/WNS/notes"), None);
        for name in Platform::NAMES {
            assert_eq!(Platform::parse(name).unwrap().as_str(), *name);
        }
    }

    #[test]
    fn a_push_token_is_not_printed() {
        let token = PushToken::parse("hunter2").unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
        let long = PushToken::parse(&"z".repeat(PUSH_TOKEN_BYTES_MAX + 1)).unwrap_err();
        assert!(!long.to_string().contains("zz"));
    }
}
