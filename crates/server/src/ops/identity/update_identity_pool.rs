//! UpdateIdentityPool: omitted lists and maps are cleared; omitted AllowClassicFlow and DeveloperProviderName
//! are kept (`docs/protocol.md` section 10.1).

use carryall_core::rules::set_identity_pool::Settings;
use carryall_wire::ops::identity::UpdateIdentityPool;
use carryall_wire::ops::identity::update_identity_pool::Input;
use carryall_wire::shapes::IdentityPool;

use crate::failure::Failure;
use crate::ops::call::{Call, required};
use crate::ops::{Handler, change_pool};

impl Handler for UpdateIdentityPool {
    async fn handle(call: &Call<'_>, input: Input) -> Result<IdentityPool, Failure> {
        let settings = Settings {
            name: required("identityPoolName", input.identity_pool_name.as_deref())?.to_owned(),
            allow_guests: *required(
                "allowUnauthenticatedIdentities",
                input.allow_unauthenticated_identities.as_ref(),
            )?,
            allow_classic_flow: input.allow_classic_flow,
            login_providers: input.supported_login_providers.unwrap_or_default(),
            developer_provider: input.developer_provider_name,
            open_id_providers: input.open_id_connect_provider_arns.unwrap_or_default(),
            saml_providers: input.saml_provider_arns.unwrap_or_default(),
            user_pools: super::user_pools(input.cognito_identity_providers),
            tags: input.identity_pool_tags.unwrap_or_default(),
        };
        settings.check()?;
        settings.check_user_pools()?;
        let pool = change_pool(call, input.identity_pool_id.as_deref(), |pool| {
            settings.clone().update(pool);
            Ok(())
        })
        .await?;
        Ok(super::pool(&pool))
    }
}
