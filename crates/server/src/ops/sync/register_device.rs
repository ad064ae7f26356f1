//! RegisterDevice: checked, and refused until push is in effect (`docs/protocol.md` section 9.4).

use carryall_core::refusal::Refusal;
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::ops::sync::RegisterDevice;
use carryall_wire::ops::sync::register_device::{Input, Output};

use crate::access::Subject;
use crate::call::{Call, required};
use crate::error::Failure;
use crate::ops::Handler;

/// The push platforms, in the published order.
const PLATFORMS: &[&str] = &["APNS", "APNS_SANDBOX", "GCM", "ADM"];

impl Handler for RegisterDevice {
    fn subject(input: &Input) -> Subject<'_> {
        Subject::Identity { pool: input.identity_pool_id.as_deref(), identity: input.identity_id.as_deref() }
    }

    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let owner = call.owner(input.identity_pool_id.as_deref(), input.identity_id.as_deref()).await?;
        let platform = required("platform", input.platform.as_deref())?;
        if !PLATFORMS.contains(&platform) {
            return Err(Violation::new("platform", platform, Constraint::Enum(PLATFORMS)).into());
        }
        required("token", input.token.as_deref())?;
        Err(Refusal::PushNotConfigured(owner.pool.id).into())
    }
}
