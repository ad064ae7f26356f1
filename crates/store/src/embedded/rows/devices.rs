//! The devices of one identity as a row, as [`super::bytes`] says.

use std::collections::BTreeSet;

use carryall_core::devices::{Device, Devices, Platform, PushToken};
use carryall_core::ids::{DatasetName, DeviceId, Version};
use carryall_core::store::StoreError;

use super::bytes::{Reader, VERSION, put_bytes};

pub(crate) fn to_row(devices: &Devices) -> Vec<u8> {
    let mut row = vec![VERSION];
    row.extend(devices.version.0.to_be_bytes());
    for device in &devices.devices {
        put_device(&mut row, device);
    }
    row
}

fn put_device(row: &mut Vec<u8>, device: &Device) {
    let Device { id, platform, token, application_arn, endpoint, enabled, registered, subscriptions } =
        device;
    for text in [id.as_str(), token.expose(), application_arn, endpoint] {
        put_bytes(row, text.as_bytes());
    }
    row.push(match platform {
        Platform::Apns => 0,
        Platform::ApnsSandbox => 1,
        Platform::Gcm => 2,
        Platform::Adm => 3,
    });
    row.push(u8::from(*enabled));
    row.extend(registered.0.to_be_bytes());
    // As with everything here, the limits on requests keep this far below four thousand millions.
    row.extend(u32::try_from(subscriptions.len()).unwrap_or(u32::MAX).to_be_bytes());
    for name in subscriptions {
        put_bytes(row, name.as_str().as_bytes());
    }
}

pub(crate) fn from_row(row: &[u8]) -> Result<Devices, StoreError> {
    let mut reader = Reader::open("devices", row)?;
    let version = Version(reader.u64()?);
    let mut devices = Vec::new();
    while !reader.is_at_end() {
        devices.push(device(&mut reader)?);
    }
    Ok(Devices { version, devices })
}

/// The version alone, which is all that an expectation asks for.
pub(crate) fn version_from_row(row: &[u8]) -> Result<Version, StoreError> {
    Ok(Version(Reader::open("devices", row)?.u64()?))
}

fn device(reader: &mut Reader<'_>) -> Result<Device, StoreError> {
    let id = DeviceId::parse(reader.short_text()?).map_err(|_| reader.damaged("names no device"))?;
    let token = PushToken::from_stored(reader.short_text()?.to_owned());
    let application_arn = reader.short_text()?.to_owned();
    let endpoint = reader.short_text()?.to_owned();
    let platform = match reader.u8()? {
        0 => Platform::Apns,
        1 => Platform::ApnsSandbox,
        2 => Platform::Gcm,
        3 => Platform::Adm,
        other => return Err(reader.damaged(&format!("names the unknown platform {other}"))),
    };
    let enabled = reader.flag()?;
    let registered = reader.time()?;
    let subscriptions = (0..reader.u32()?).map(|_| name(reader)).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(Device { id, platform, token, application_arn, endpoint, enabled, registered, subscriptions })
}

fn name(reader: &mut Reader<'_>) -> Result<DatasetName, StoreError> {
    DatasetName::parse(reader.short_text()?).map_err(|_| reader.damaged("names no dataset"))
}

#[cfg(test)]
mod tests {
    use carryall_core::time::UnixMillis;
    use proptest::prelude::*;

    use super::*;

    fn device() -> impl Strategy<Value = Device> {
        let platforms = [Platform::Apns, Platform::ApnsSandbox, Platform::Gcm, Platform::Adm];
        let texts = (".{1,20}", ".{1,40}", ".{0,40}", ".{0,40}");
        let names = proptest::collection::btree_set("[a-z]{1,9}", 0..4);
        (texts, proptest::sample::select(platforms.to_vec()), any::<(bool, i64)>(), names).prop_map(
            |((id, token, application_arn, endpoint), platform, (enabled, registered), names)| Device {
                id: DeviceId::parse(&id).unwrap(),
                platform,
                token: PushToken::from_stored(token),
                application_arn,
                endpoint,
                enabled,
                registered: UnixMillis(registered),
                subscriptions: names.iter().map(|name| DatasetName::parse(name).unwrap()).collect(),
            },
        )
    }

    fn devices() -> impl Strategy<Value = Devices> {
        (any::<u64>(), proptest::collection::vec(device(), 0..4))
            .prop_map(|(version, devices)| Devices { version: Version(version), devices })
    }

    proptest! {
        #[test]
        fn devices_survive_their_row(devices in devices()) {
            let row = to_row(&devices);
            prop_assert_eq!(version_from_row(&row), Ok(devices.version));
            prop_assert_eq!(from_row(&row), Ok(devices));
        }

        #[test]
        fn arbitrary_bytes_are_damage_and_never_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 1..120)) {
            for version in [bytes[0], VERSION] {
                bytes[0] = version;
                let _ = (from_row(&bytes), version_from_row(&bytes));
            }
        }
    }

    #[test]
    fn a_row_of_a_later_version_is_damage() {
        let mut row = to_row(&Devices::default());
        assert!(from_row(&row).is_ok());
        row[0] += 1;
        assert!(from_row(&row).is_err());
        assert!(from_row(&[]).is_err());
    }
}
