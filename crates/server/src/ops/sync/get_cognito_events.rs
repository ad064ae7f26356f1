//! GetCognitoEvents (`docs/protocol.md` section 9.2).

use carryall_wire::ops::sync::GetCognitoEvents;
use carryall_wire::ops::sync::get_cognito_events::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for GetCognitoEvents {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        Ok(Output { events: pool.events.clone() })
    }
}
