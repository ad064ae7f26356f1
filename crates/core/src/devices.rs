//! Devices of an identity that registered for push, and what each is subscribed to (`docs/protocol.md` section 9.4).
//! One value per identity: an identity has few devices, and whoever changes one must know the others.

use std::collections::BTreeSet;
use std::fmt;

use crate::ids::{DatasetName, DeviceId, Version};
use crate::time::UnixMillis;
use crate::violation::{Constraint, Violation};

/// The push platforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    /// Apple.
    Apns,
    /// Apple, for builds of developers.
    ApnsSandbox,
    /// Google.
    Gcm,
    /// Amazon.
    Adm,
}

impl Platform {
    /// Their names, in the published order.
    pub const NAMES: &'static [&'static str] = &["APNS", "APNS_SANDBOX", "GCM", "ADM"];

    /// Reads a name.
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

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apns => "APNS",
            Self::ApnsSandbox => "APNS_SANDBOX",
            Self::Gcm => "GCM",
            Self::Adm => "ADM",
        }
    }
}

/// Longest push token, in bytes.
pub const PUSH_TOKEN_BYTES_MAX: usize = 4096;

/// A platform's own name for one installation of an app. Whoever has it can be sent to, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PushToken(String);

impl PushToken {
    /// Parses `text`: 1 to [`PUSH_TOKEN_BYTES_MAX`] bytes. The refusal does not repeat it.
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

    /// A token that was valid when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The token itself.
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
    /// Its id, given by the server.
    pub id: DeviceId,
    /// Its platform.
    pub platform: Platform,
    /// The platform's name for it.
    pub token: PushToken,
    /// The platform application that it was registered with, as an ARN.
    pub application_arn: String,
    /// Where messages for it are sent, as the push service named it.
    pub endpoint: String,
    /// Whether messages are sent: the push service has not said that the endpoint is dead.
    pub enabled: bool,
    /// When it registered last.
    pub registered: UnixMillis,
    /// The dataset names that it is told about.
    pub subscriptions: BTreeSet<DatasetName>,
}

/// All devices of one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Raised by every change.
    pub version: Version,
    /// In the order of their last registration, oldest first.
    pub devices: Vec<Device>,
}

impl Devices {
    /// The device of this id.
    pub fn get(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == *id)
    }

    /// Those that are to hear of a change of `name` that `writer` made.
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
