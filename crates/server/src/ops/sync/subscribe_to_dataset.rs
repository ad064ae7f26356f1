//! SubscribeToDataset: checked, and refused until push is in effect (`docs/protocol.md` section 9.4).

use carryall_core::ids::DeviceId;
use carryall_core::refusal::Refusal;
use carryall_wire::ops::sync::SubscribeToDataset;
use carryall_wire::ops::sync::subscribe_to_dataset::Input;
use carryall_wire::shapes::Empty;

use crate::access::Subject;
use crate::call::{Call, required};
use crate::error::Failure;
use crate::ops::Handler;

impl Handler for SubscribeToDataset {
    fn subject(input: &Input) -> Subject<'_> {
        Subject::Identity { pool: input.identity_pool_id.as_deref(), identity: input.identity_id.as_deref() }
    }

    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let at = call
            .dataset(
                input.identity_pool_id.as_deref(),
                input.identity_id.as_deref(),
                input.dataset_name.as_deref(),
            )
            .await?;
        DeviceId::parse(required("deviceId", input.device_id.as_deref())?)?;
        Err(Refusal::PushNotConfigured(at.owner.pool.id).into())
    }
}
