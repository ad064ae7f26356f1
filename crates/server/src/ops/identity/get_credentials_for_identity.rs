//! GetCredentialsForIdentity: the enhanced flow (`docs/protocol.md` section 10.3).

use carryall_core::rules::set_identity_pool_configuration::check_role_arn;
use carryall_wire::ops::identity::GetCredentialsForIdentity;
use carryall_wire::ops::identity::get_credentials_for_identity::{Credentials, Input, Output};
use carryall_wire::shapes::Secret;
use secrecy::ExposeSecret;

use crate::failure::Failure;
use crate::ops::call::Call;
use crate::ops::{Handler, timestamp};
use crate::trust::credentials::{CREDENTIALS_SECONDS, Temporary};

impl Handler for GetCredentialsForIdentity {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        check_role_arn("customRoleArn", input.custom_role_arn.as_deref())?;
        let (identity, _) = super::guest(call, input.identity_id.as_deref(), input.logins.as_ref()).await?;
        let temporary = Temporary {
            identity: identity.at,
            epoch: identity.epoch,
            authenticated: false,
            providers: Vec::new(),
            expires: call.now.plus_seconds(CREDENTIALS_SECONDS),
        };
        let issued = call.app.trust.issue(&temporary);
        Ok(Output {
            identity_id: temporary.identity.identity.to_string(),
            credentials: Credentials {
                access_key_id: issued.access_key_id,
                secret_key: Secret::from(issued.secret.expose_secret().to_owned()),
                session_token: Secret::from(issued.credentials_token),
                expiration: timestamp(issued.expires),
            },
        })
    }
}
