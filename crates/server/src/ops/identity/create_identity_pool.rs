//! CreateIdentityPool (`docs/protocol.md` section 10.1).

use carryall_core::ids::PoolId;
use carryall_core::model::PoolRef;
use carryall_core::rules::create_identity_pool;
use carryall_core::rules::set_identity_pool::Settings;
use carryall_core::store::Committed;
use carryall_wire::ops::identity::CreateIdentityPool;
use carryall_wire::ops::identity::create_identity_pool::Input;
use carryall_wire::shapes::IdentityPool;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};

impl Handler for CreateIdentityPool {
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
        let id = PoolId::parse(&format!("{}:{}", call.app.config.region, call.app.clock.uuid()))?;
        let at = PoolRef { id, incarnation: call.app.clock.pool_incarnation() };
        let (changes, pool) = create_identity_pool::decide(settings, at, call.now)?;
        match call.app.state.commit(changes).await? {
            Committed::Done => Ok(super::pool(&pool)),
            // The random id is taken; another attempt draws another one.
            Committed::Refused => Err(Failure::RetriesExhausted),
        }
    }
}
