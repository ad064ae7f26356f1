//! ListIdentityPoolUsage (`docs/protocol.md` section 8.2).

use carryall_core::cursor::NamesPage;
use carryall_core::ids::PoolId;
use carryall_core::limits::POOLS_PER_PAGE_MAX;
use carryall_core::model::{Pool, PoolRef};
use carryall_wire::ops::sync::ListIdentityPoolUsage;
use carryall_wire::ops::sync::list_identity_pool_usage::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, page_size};

impl Handler for ListIdentityPoolUsage {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let max = page_size(input.max_results, POOLS_PER_PAGE_MAX)?.unwrap_or(POOLS_PER_PAGE_MAX);
        let list = NamesPage::pools();
        let after = call.names_page(&list, input.next_token.as_deref())?;
        let after = after.as_deref().map(PoolId::parse).transpose()?;
        let needed = |pool: Pool| (pool.at, pool.created);
        let mut pools = call.app.state.pools(after.as_ref(), max as usize + 1, needed).await?;
        let next_token = call.cut_names(list, &mut pools, max as usize, |(at, _)| at.id.to_string());
        let listed: Vec<&PoolRef> = pools.iter().map(|(at, _)| at).collect();
        let usage = call.app.state.usage(&listed).await?;
        Ok(Output {
            count: pools.len() as u64,
            identity_pool_usages: pools
                .iter()
                .zip(&usage)
                .map(|((at, created), usage)| super::pool_usage(at, *created, usage))
                .collect(),
            max_results: Some(max.into()),
            next_token,
        })
    }
}
