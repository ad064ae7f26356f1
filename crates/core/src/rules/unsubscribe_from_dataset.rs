//! UnsubscribeFromDataset: stops sending changes of a dataset to a device (`docs/protocol.md` section 9.4).

use crate::changes::{Changes, Expect, Write};
use crate::devices::Devices;
use crate::ids::DeviceId;
use crate::model::DatasetRef;
use crate::refusal::Refusal;
use crate::rules::pool_stands;

/// Ends the subscription of `device`, one of the owner's `devices`, to the dataset name at `at`. The dataset itself
/// need not exist.
pub fn decide(devices: &Devices, at: &DatasetRef, device: &DeviceId) -> Result<Changes, Refusal> {
    let mut after = Devices { version: devices.version.next(), ..devices.clone() };
    let Some(found) = after.devices.iter_mut().find(|known| known.id == *device) else {
        return Err(Refusal::DeviceNotFound(device.clone()));
    };
    if !found.subscriptions.remove(&at.name) {
        return Err(Refusal::SubscriptionNotFound(device.clone()));
    }
    Ok(Changes {
        expect: vec![pool_stands(&at.owner), Expect::Devices(at.owner.clone(), devices.version)],
        write: vec![Write::PutDevices(at.owner.clone(), after)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    #[test]
    fn only_what_is_subscribed_can_be_ended() {
        let devices = samples::devices(&["a"], "prefs");
        let (a, b) = (DeviceId::parse("a").unwrap(), DeviceId::parse("b").unwrap());
        let changes = decide(&devices, &samples::dataset(), &a).unwrap();
        let [Write::PutDevices(_, after)] = &changes.write[..] else { panic!("{changes:?}") };
        assert!(after.devices[0].subscriptions.is_empty());
        assert_eq!(decide(after, &samples::dataset(), &a), Err(Refusal::SubscriptionNotFound(a)));
        assert_eq!(decide(after, &samples::dataset(), &b), Err(Refusal::DeviceNotFound(b)));
    }
}
