//! GetOpenIdToken (`docs/protocol.md` section 5.5).

use carryall_core::rules::get_open_id_token;
use carryall_wire::ops::identity::GetOpenIdToken;
use carryall_wire::ops::identity::get_open_id_token::{Input, Output};
use carryall_wire::shapes::Secret;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;
use crate::trust::identity_token::VerifiedToken;

impl Handler for GetOpenIdToken {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let (identity, pool) =
            super::guest(call, input.identity_id.as_deref(), input.logins.as_ref()).await?;
        get_open_id_token::admit_classic_flow(&pool)?;
        let verified = VerifiedToken {
            identity: identity.at,
            epoch: identity.epoch,
            amr: vec!["unauthenticated".to_owned()],
        };
        Ok(Output {
            identity_id: verified.identity.identity.to_string(),
            token: Secret::from(call.app.trust.identity_tokens.issue(&verified, call.now)),
        })
    }
}
