//! SubscribeToDataset (`docs/protocol.md` section 9.4).

use carryall_core::ids::DeviceId;
use carryall_core::refusal::Refusal;
use carryall_core::rules::effects::Effects;
use carryall_core::rules::subscribe_to_dataset;
use carryall_wire::ops::sync::SubscribeToDataset;
use carryall_wire::ops::sync::subscribe_to_dataset::Input;
use carryall_wire::shapes::Empty;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

impl Handler for SubscribeToDataset {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let at = call.dataset(&input).await?;
        let device = DeviceId::parse(required("deviceId", input.device_id.as_deref())?)?;
        let pool = call.pool(&input).await?;
        if !Effects::has_push(&pool) {
            return Err(Refusal::PushNotConfigured(pool.at.id.clone()).into());
        }
        call.app
            .state
            .attempt(&at.owner, || async {
                let devices = call.app.state.reads().devices(&at.owner).await?;
                let head = call.app.state.reads().head(&at).await?.head;
                let changes = subscribe_to_dataset::decide(&devices, head.as_ref(), &at, &device)?;
                Ok(changes.map_or(Step::Answer(()), |changes| Step::Commit(changes, ())))
            })
            .await?;
        Ok(Empty {})
    }
}
