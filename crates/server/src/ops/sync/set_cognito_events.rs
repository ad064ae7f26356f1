//! SetCognitoEvents (`docs/protocol.md` section 9.2).

use carryall_core::rules::set_cognito_events;
use carryall_wire::ops::sync::SetCognitoEvents;
use carryall_wire::ops::sync::set_cognito_events::Input;
use carryall_wire::shapes::Empty;

use crate::call::{Call, required};
use crate::error::Failure;
use crate::ops::{Handler, change_pool};
use crate::pool_check::check_in_background;

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
