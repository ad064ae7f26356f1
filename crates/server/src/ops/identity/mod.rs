//! The implemented operations of Cognito Identity.

mod create_identity_pool;
mod delete_identities;
mod delete_identity_pool;
mod describe_identity;
mod describe_identity_pool;
mod get_credentials_for_identity;
mod get_id;
mod get_identity_pool_roles;
mod get_open_id_token;
mod list_identities;
mod list_identity_pools;
mod set_identity_pool_roles;
mod update_identity_pool;

use std::collections::BTreeMap;

use carryall_core::ids::IdentityId;
use carryall_core::model::{Identity, Pool, UserPoolProvider};
use carryall_core::refusal::Refusal;
use carryall_core::rules::get_id::{admit_guest, refuse_logins};
use carryall_wire::shapes::{self, CognitoIdentityProvider, Secret};

use super::timestamp;
use crate::failure::Failure;
use crate::ops::call::{Call, required};

/// The largest page of the listings here, from the published model.
const PAGE_MAX: u32 = 60;

/// A pool's description; unset members are left out.
fn pool(pool: &Pool) -> shapes::IdentityPool {
    fn filled<T: Default + PartialEq + Clone>(value: &T) -> Option<T> {
        (*value != T::default()).then(|| value.clone())
    }
    let user_pools: Vec<_> = pool
        .user_pools
        .iter()
        .map(|provider| CognitoIdentityProvider {
            provider_name: provider.provider.clone(),
            client_id: provider.client_id.clone(),
            server_side_token_check: provider.server_side_token_check,
        })
        .collect();
    shapes::IdentityPool {
        identity_pool_id: pool.at.id.to_string(),
        identity_pool_name: pool.name.clone(),
        allow_unauthenticated_identities: pool.allow_guests,
        allow_classic_flow: pool.allow_classic_flow,
        supported_login_providers: filled(&pool.login_providers),
        developer_provider_name: pool.developer_provider.clone(),
        open_id_connect_provider_arns: filled(&pool.open_id_providers),
        cognito_identity_providers: filled(&user_pools),
        saml_provider_arns: filled(&pool.saml_providers),
        identity_pool_tags: filled(&pool.tags),
    }
}

fn user_pools(providers: Option<Vec<CognitoIdentityProvider>>) -> Vec<UserPoolProvider> {
    let providers = providers.unwrap_or_default().into_iter();
    providers
        .map(|provider| UserPoolProvider {
            provider: provider.provider_name,
            client_id: provider.client_id,
            server_side_token_check: provider.server_side_token_check,
        })
        .collect()
}

/// An identity's description. Logins do not exist yet.
fn description(identity: &Identity) -> shapes::IdentityDescription {
    shapes::IdentityDescription {
        identity_id: identity.at.identity.to_string(),
        logins: Vec::new(),
        creation_date: timestamp(identity.created),
        last_modified_date: timestamp(identity.modified),
    }
}

/// The number of logins that a request presents.
fn logins_count(logins: Option<&BTreeMap<String, Secret>>) -> usize {
    logins.map_or(0, BTreeMap::len)
}

/// The identity that a request names without its pool.
async fn identity(call: &Call<'_>, id: Option<&str>) -> Result<Identity, Failure> {
    let id = IdentityId::parse(required("identityId", id)?)?;
    let identity = call.app.state.reads().identity(&id).await?;
    Ok(identity.ok_or(Refusal::IdentityNotFound(id))?)
}

/// Returns a guest of a pool that still allows guests.
async fn guest(
    call: &Call<'_>,
    id: Option<&str>,
    logins: Option<&BTreeMap<String, Secret>>,
) -> Result<(Identity, std::sync::Arc<Pool>), Failure> {
    refuse_logins(logins_count(logins))?;
    let identity = identity(call, id).await?;
    let pool_id = &identity.at.pool.id;
    let pool = call.app.state.pool(pool_id).await?;
    let pool = pool.ok_or_else(|| Refusal::PoolNotFound(pool_id.clone()))?;
    admit_guest(&pool)?;
    Ok((identity, pool))
}
