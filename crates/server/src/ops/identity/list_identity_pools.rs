//! ListIdentityPools (`docs/protocol.md` section 10.4).

use carryall_core::cursor::NamesPage;
use carryall_core::ids::PoolId;
use carryall_core::model::Pool;
use carryall_wire::ops::identity::ListIdentityPools;
use carryall_wire::ops::identity::list_identity_pools::{IdentityPoolShortDescription, Input, Output};

use super::PAGE_MAX;
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required_page_size};

impl Handler for ListIdentityPools {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let max = required_page_size(input.max_results, PAGE_MAX)?;
        let list = NamesPage::pools();
        let after = call.names_page(&list, input.next_token.as_deref())?;
        let after = after.as_deref().map(PoolId::parse).transpose()?;
        let description = |pool: Pool| IdentityPoolShortDescription {
            identity_pool_id: pool.at.id.to_string(),
            identity_pool_name: pool.name,
        };
        let mut identity_pools = call.app.state.pools(after.as_ref(), max + 1, description).await?;
        let next_token = call.cut_names(list, &mut identity_pools, max, |pool| pool.identity_pool_id.clone());
        Ok(Output { identity_pools, next_token })
    }
}
