//! SubscribeToDataset: sends changes of a dataset to a device from now on (`docs/protocol.md` section 9.4).

use crate::changes::{Changes, Expect, Write};
use crate::devices::Devices;
use crate::ids::DeviceId;
use crate::limits::SUBSCRIPTIONS_PER_DEVICE_MAX;
use crate::model::{DatasetRef, Head};
use crate::refusal::Refusal;
use crate::rules::pool_stands;

/// Subscribes `device`, one of the owner's `devices`, to the dataset at `at`, whose head is `head`. `None` if
/// it is already subscribed. The dataset must exist now, but not at the commit, because subscriptions outlive
/// deletion.
pub fn decide(
    devices: &Devices,
    head: Option<&Head>,
    at: &DatasetRef,
    device: &DeviceId,
) -> Result<Option<Changes>, Refusal> {
    let mut after = Devices { version: devices.version.next(), ..devices.clone() };
    let Some(found) = after.devices.iter_mut().find(|known| known.id == *device) else {
        return Err(Refusal::DeviceNotFound(device.clone()));
    };
    if head.is_none_or(|head| head.life.is_none()) {
        return Err(Refusal::DatasetNotFound(at.name.clone()));
    }
    if found.subscriptions.contains(&at.name) {
        return Ok(None);
    }
    if found.subscriptions.len() >= SUBSCRIPTIONS_PER_DEVICE_MAX {
        return Err(Refusal::TooManySubscriptions(device.clone()));
    }
    found.subscriptions.insert(at.name.clone());
    Ok(Some(Changes {
        expect: vec![pool_stands(&at.owner), Expect::Devices(at.owner.clone(), devices.version)],
        write: vec![Write::PutDevices(at.owner.clone(), after)],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DatasetName;
    use crate::model::Floor;
    use crate::rules::samples;

    fn head() -> Head {
        let life = crate::model::Life {
            created: crate::time::UnixMillis(1),
            modified: crate::time::UnixMillis(1),
            modified_by: crate::model::Writer::from("d"),
            records: 1,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: crate::ids::SyncCount::ZERO,
            data_bytes: 1,
        };
        Head { life: Some(life), ..Floor::default().head() }
    }

    fn at(name: &str) -> DatasetRef {
        DatasetRef { name: DatasetName::parse(name).unwrap(), ..samples::dataset() }
    }

    #[test]
    fn a_device_is_subscribed_once() {
        let devices = samples::devices(&["a"], "prefs");
        let a = DeviceId::parse("a").unwrap();
        assert_eq!(decide(&devices, Some(&head()), &at("prefs"), &a), Ok(None));
        let changes = decide(&devices, Some(&head()), &at("other"), &a).unwrap().unwrap();
        let [Write::PutDevices(_, after)] = &changes.write[..] else { panic!("{changes:?}") };
        assert_eq!(after.devices[0].subscriptions.len(), 2);
        assert_eq!(after.version, devices.version.next());
    }

    #[test]
    fn device_and_dataset_have_to_exist() {
        let devices = samples::devices(&["a"], "prefs");
        let (a, b) = (DeviceId::parse("a").unwrap(), DeviceId::parse("b").unwrap());
        let refused = decide(&devices, Some(&head()), &at("prefs"), &b);
        assert_eq!(refused, Err(Refusal::DeviceNotFound(b)));
        for head in [None, Some(Floor::default().head())] {
            let refused = decide(&devices, head.as_ref(), &at("other"), &a);
            assert_eq!(refused, Err(Refusal::DatasetNotFound(at("other").name)));
        }
    }

    #[test]
    fn subscriptions_of_a_device_are_bounded() {
        let mut devices = samples::devices(&["a"], "prefs");
        let name = |n: usize| DatasetName::parse(&format!("d{n}")).unwrap();
        devices.devices[0].subscriptions = (0..SUBSCRIPTIONS_PER_DEVICE_MAX).map(name).collect();
        let a = DeviceId::parse("a").unwrap();
        let refused = decide(&devices, Some(&head()), &at("one-more"), &a);
        assert_eq!(refused, Err(Refusal::TooManySubscriptions(a)));
    }
}
