//! UnsubscribeFromDataset (`docs/protocol.md` section 9.4).

use carryall_core::ids::DeviceId;
use carryall_core::rules::unsubscribe_from_dataset;
use carryall_wire::ops::sync::UnsubscribeFromDataset;
use carryall_wire::ops::sync::unsubscribe_from_dataset::Input;
use carryall_wire::shapes::Empty;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

impl Handler for UnsubscribeFromDataset {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let at = call.dataset(&input).await?;
        let device = DeviceId::parse(required("deviceId", input.device_id.as_deref())?)?;
        call.app
            .state
            .attempt(&at.owner, || async {
                let devices = call.app.state.reads().devices(&at.owner).await?;
                Ok(Step::Commit(unsubscribe_from_dataset::decide(&devices, &at, &device)?, ()))
            })
            .await?;
        Ok(Empty {})
    }
}
