//! Delivery to a device: the silent notice that a dataset has changed, and the handling of devices that are
//! gone (`docs/protocol.md` section 13.3).

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::devices::{Device, Devices, Platform};
use carryall_core::ids::DeviceId;
use carryall_core::model::IdentityRef;
use carryall_core::outbox::{Event, Parked};
use carryall_core::store::StoreError;
use carryall_outbound::{PushMessage, PushUndelivered, Undelivered};
use secrecy::SecretString;

use super::delivered::Delivered;
use crate::app::App;
use crate::state::attempt::{Step, Tries};

/// Delivers a notice to the device with this id.
pub(super) async fn deliver(app: &App, event: &Event, id: &DeviceId) -> Delivered {
    match try_deliver(app, event, id).await {
        Ok(delivered) => delivered,
        Err(error) => Delivered::NotNow(error.to_string()),
    }
}

async fn try_deliver(app: &App, event: &Event, id: &DeviceId) -> Result<Delivered, StoreError> {
    let dataset = &event.lane.dataset;
    let owner = &dataset.owner;
    let Some(pool) = app.state.pool(&owner.pool.id).await?.filter(|pool| pool.at == owner.pool) else {
        return Ok(Delivered::Dropped("its pool is gone"));
    };
    let Some(push) = &pool.push else { return Ok(Delivered::Dropped("its pool no longer has push")) };
    let devices = app.state.reads().devices(owner).await?;
    let Some(device) = devices.get(id).filter(|device| device.enabled) else {
        return Ok(Delivered::Dropped("its device is gone"));
    };
    if !push.application_arns.contains(&device.application_arn) {
        return Ok(Delivered::Dropped("its platform application is no longer one of the pool's"));
    }
    let port = app.outbound.push(owner.pool.id.as_str(), &device.application_arn, push.role_arn.as_deref());
    let message = PushMessage {
        event_id: event.id().to_string(),
        identity_pool_id: owner.pool.id.to_string(),
        identity_id: owner.identity.to_string(),
        dataset_name: dataset.name.to_string(),
        sync_count: event.position.sync_count.to_string(),
    };
    match port.publish(&outbound(device), &message).await {
        Ok(()) => Ok(Delivered::Yes),
        Err(PushUndelivered::EndpointDead { cause }) => {
            if !disable(app, owner, device).await? {
                // It has registered again meanwhile, so the answer is about its earlier registration.
                return Ok(Delivered::NotNow(cause));
            }
            app.metrics.effects.device_disabled();
            tracing::info!(identity = %owner.identity, device = %id, cause, "push endpoint is gone; device disabled until it registers again");
            Ok(Delivered::Dropped("its device is gone"))
        }
        Err(PushUndelivered::Other(Undelivered::Retry { cause, .. } | Undelivered::Gone { cause })) => {
            Ok(Delivered::NotNow(cause))
        }
        Err(PushUndelivered::Other(Undelivered::Refused { cause })) => {
            Ok(Delivered::Parked(Parked::Undeliverable, cause))
        }
    }
}

/// The device in the form of the port.
fn outbound(device: &Device) -> carryall_outbound::Device {
    carryall_outbound::Device {
        device_id: device.id.to_string(),
        platform: platform(device.platform),
        token: SecretString::from(device.token.expose()),
        endpoint: device.endpoint.clone(),
    }
}

fn platform(platform: Platform) -> carryall_outbound::Platform {
    match platform {
        Platform::Apns => carryall_outbound::Platform::Apns,
        Platform::ApnsSandbox => carryall_outbound::Platform::ApnsSandbox,
        Platform::Gcm => carryall_outbound::Platform::Gcm,
        Platform::Adm => carryall_outbound::Platform::Adm,
    }
}

/// Disables a device. Returns false, and leaves it enabled, if it has registered again since it was `seen`.
async fn disable(app: &App, owner: &IdentityRef, seen: &Device) -> Result<bool, StoreError> {
    let disabled = app.state.retry(Tries::REQUEST, || async {
        let devices = app.state.reads().devices(owner).await?;
        let mut after = Devices { version: devices.version.next(), ..devices.clone() };
        match after.devices.iter_mut().find(|device| device.id == seen.id) {
            // The device no longer exists.
            None => return Ok(Step::Answer(true)),
            Some(device) if device.registered != seen.registered => return Ok(Step::Answer(false)),
            Some(device) => device.enabled = false,
        }
        let expect = vec![Expect::Devices(owner.clone(), devices.version)];
        let write = vec![Write::PutDevices(owner.clone(), after)];
        Ok::<_, StoreError>(Step::Commit(Changes { expect, write }, true))
    });
    Ok(disabled.await?.unwrap_or(false))
}
