//! SetIdentityPoolConfiguration (`docs/protocol.md` section 9.1).

use carryall_core::rules::set_identity_pool_configuration::{self, Block};
use carryall_wire::ops::sync::SetIdentityPoolConfiguration;
use carryall_wire::ops::sync::set_identity_pool_configuration::{Input, Output};

use crate::effects::pool_check::check_in_background;
use crate::failure::Failure;
use crate::ops::call::Call;
use crate::ops::{Handler, change_pool};

impl Handler for SetIdentityPoolConfiguration {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let push = match input.push_sync {
            None => Block::Unchanged,
            Some(push) => set_identity_pool_configuration::push(
                push.application_arns.unwrap_or_default(),
                push.role_arn,
            )?,
        };
        let streams = match input.cognito_streams {
            None => Block::Unchanged,
            Some(streams) => set_identity_pool_configuration::streams(
                streams.stream_name,
                streams.role_arn,
                streams.streaming_status.as_deref(),
            )?,
        };
        let pool = change_pool(call, input.identity_pool_id.as_deref(), |pool| {
            set_identity_pool_configuration::apply(pool, push.clone(), streams.clone());
            Ok(())
        })
        .await?;
        // Lanes that waited for the stream to be switched on resume.
        call.app.state.wakes().pool(&pool.at.id);
        let output = Output {
            identity_pool_id: pool.at.id.to_string(),
            push_sync: super::push_sync(&pool),
            cognito_streams: super::cognito_streams(&pool),
        };
        check_in_background(call.app, pool);
        Ok(output)
    }
}
