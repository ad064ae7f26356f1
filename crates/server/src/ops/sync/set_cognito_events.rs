//! SetCognitoEvents (`docs/protocol.md` section 9.2).

use carryall_core::rules::set_cognito_events;
use carryall_wire::ops::sync::SetCognitoEvents;
use carryall_wire::ops::sync::set_cognito_events::Input;
use carryall_wire::shapes::Empty;

use crate::effects::pool_check::check_in_background;
use crate::failure::Failure;
use crate::ops::call::{Call, required};
use crate::ops::{Handler, change_pool};

impl Handler for SetCognitoEvents {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Empty, Failure> {
        let changes = required("events", input.events.as_ref())?;
        let pool = change_pool(call, input.identity_pool_id.as_deref(), |pool| {
            Ok(set_cognito_events::apply(&mut pool.events, changes)?)
        })
        .await?;
        check_in_background(call.app, pool);
        Ok(Empty {})
    }
}
