//! ListIdentities (`docs/protocol.md` section 10.4).

use carryall_core::cursor::NamesPage;
use carryall_core::ids::IdentityId;
use carryall_wire::ops::identity::ListIdentities;
use carryall_wire::ops::identity::list_identities::{Input, Output};

use super::PAGE_MAX;
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required_page_size};

impl Handler for ListIdentities {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        let max = required_page_size(input.max_results, PAGE_MAX)?;
        let list = NamesPage::identities_of(&pool.at.id, pool.at.incarnation);
        let after = call.names_page(&list, input.next_token.as_deref())?;
        let after = after.as_deref().map(IdentityId::parse).transpose()?;
        let mut identities = call.app.state.reads().identities(&pool.at, after.as_ref(), max + 1).await?;
        let next_token =
            call.cut_names(list, &mut identities, max, |identity| identity.at.identity.to_string());
        Ok(Output {
            identity_pool_id: pool.at.id.to_string(),
            identities: identities.iter().map(super::description).collect(),
            next_token,
        })
    }
}
