//! RegisterDevice: keeps one device for each platform and push token of an identity (`docs/protocol.md`
//! section 9.4).

use std::collections::BTreeSet;

use crate::changes::{Changes, Expect, Write};
use crate::devices::{Device, Devices, Platform, PushToken};
use crate::ids::DeviceId;
use crate::limits::DEVICES_PER_IDENTITY_MAX;
use crate::model::{IdentityRef, Pool};
use crate::refusal::Refusal;
use crate::rules::pool_stands;
use crate::time::UnixMillis;

/// A device that the push service has already registered.
#[derive(Clone, Debug)]
pub struct RegisterDevice {
    /// The identity that owns the device.
    pub owner: IdentityRef,
    /// The device's push platform.
    pub platform: Platform,
    /// The device's push token.
    pub token: PushToken,
    /// The ARN of the platform application that it was registered with.
    pub application_arn: String,
    /// The endpoint that the push service returned.
    pub endpoint: String,
    /// The id for a new device.
    pub fresh_id: DeviceId,
}

/// The first platform application of `pool` for `platform`.
pub fn application(pool: &Pool, platform: Platform) -> Result<&str, Refusal> {
    let arns = pool.push.as_ref().map_or(&[][..], |push| &push.application_arns);
    if arns.is_empty() {
        return Err(Refusal::PushNotConfigured(pool.at.id.clone()));
    }
    arns.iter()
        .map(String::as_str)
        .find(|arn| Platform::of_application(arn) == Some(platform))
        .ok_or_else(|| Refusal::NoApplication { pool: pool.at.id.clone(), platform })
}

/// Decides `request` given the `devices` of its owner. Returns the commit and the device's id. A known token
/// keeps its id and subscriptions, and its device is enabled again. One device too many replaces the one
/// whose registration is oldest.
pub fn decide(devices: &Devices, now: UnixMillis, request: &RegisterDevice) -> (Changes, DeviceId) {
    let mut after = Devices { version: devices.version.next(), ..devices.clone() };
    let is_same = |device: &Device| device.platform == request.platform && device.token == request.token;
    let known = after.devices.iter().position(is_same).map(|place| after.devices.remove(place));
    let (id, subscriptions) = match known {
        Some(device) => (device.id, device.subscriptions),
        None => (request.fresh_id.clone(), BTreeSet::new()),
    };
    if after.devices.len() >= DEVICES_PER_IDENTITY_MAX {
        after.devices.remove(0);
    }
    after.devices.push(Device {
        id: id.clone(),
        platform: request.platform,
        token: request.token.clone(),
        application_arn: request.application_arn.clone(),
        endpoint: request.endpoint.clone(),
        enabled: true,
        registered: now,
        subscriptions,
    });
    let owner = &request.owner;
    let changes = Changes {
        expect: vec![pool_stands(owner), Expect::Devices(owner.clone(), devices.version)],
        write: vec![Write::PutDevices(owner.clone(), after)],
    };
    (changes, id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    fn request(token: &str, fresh_id: &str) -> RegisterDevice {
        RegisterDevice {
            owner: samples::owner(),
            platform: Platform::Gcm,
            token: PushToken::parse(token).unwrap(),
            application_arn: samples::APPLICATION.to_owned(),
            endpoint: "endpoint-2".to_owned(),
            fresh_id: DeviceId::parse(fresh_id).unwrap(),
        }
    }

    fn after(changes: &Changes) -> &Devices {
        match &changes.write[..] {
            [Write::PutDevices(_, devices)] => devices,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_token_keeps_its_device_and_is_repaired() {
        let mut devices = samples::devices(&["a", "b"], "prefs");
        devices.devices[0].enabled = false;
        let (changes, id) = decide(&devices, UnixMillis(5), &request("token-a", "fresh"));
        assert_eq!(id.as_str(), "a");
        let device = after(&changes).get(&id).unwrap();
        assert!(device.enabled && device.subscriptions.len() == 1);
        assert_eq!((device.endpoint.as_str(), device.registered), ("endpoint-2", UnixMillis(5)));
        assert_eq!(after(&changes).devices.len(), 2);
    }

    #[test]
    fn the_same_token_on_another_platform_is_another_device() {
        let devices = samples::devices(&["a"], "prefs");
        let other = RegisterDevice { platform: Platform::Adm, ..request("token-a", "fresh") };
        let (changes, id) = decide(&devices, UnixMillis(5), &other);
        assert_eq!((id.as_str(), after(&changes).devices.len()), ("fresh", 2));
    }

    #[test]
    fn one_device_too_many_drops_the_one_that_registered_longest_ago() {
        let ids: Vec<String> = (0..DEVICES_PER_IDENTITY_MAX).map(|n| format!("d{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (changes, _) = decide(&samples::devices(&ids, "prefs"), UnixMillis(5), &request("t", "fresh"));
        assert_eq!(after(&changes).devices.len(), DEVICES_PER_IDENTITY_MAX);
        assert_eq!(after(&changes).get(&DeviceId::parse("d0").unwrap()), None);
    }

    #[test]
    fn the_refusal_says_whether_push_or_only_the_platform_is_missing() {
        let pool = samples::pool();
        assert_eq!(application(&pool, Platform::Gcm), Err(Refusal::PushNotConfigured(pool.at.id.clone())));
        let pool = samples::pushing(pool);
        assert_eq!(application(&pool, Platform::Gcm), Ok(samples::APPLICATION));
        let refused = Refusal::NoApplication { pool: pool.at.id.clone(), platform: Platform::Apns };
        assert_eq!(application(&pool, Platform::Apns), Err(refused));
    }
}
