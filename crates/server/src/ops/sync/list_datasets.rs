//! ListDatasets (`docs/protocol.md` section 7.9).

use carryall_core::cursor::NamesPage;
use carryall_core::limits::DATASETS_PER_PAGE_MAX;
use carryall_core::model::Life;
use carryall_wire::ops::sync::ListDatasets;
use carryall_wire::ops::sync::list_datasets::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, page_size};

impl Handler for ListDatasets {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let owner = call.owner(&input).await?;
        let max = page_size(input.max_results, DATASETS_PER_PAGE_MAX)?;
        let list = NamesPage::datasets_of(owner.pool.incarnation, &owner.identity);
        let after = call.names_page(&list, input.next_token.as_deref())?;
        let view = call.app.state.reads().heads(&owner).await?;
        let mut lives: Vec<(_, Life)> = view
            .heads
            .into_iter()
            .filter(|(name, _)| after.as_deref().is_none_or(|after| name.as_str() > after))
            .filter_map(|(name, head)| Some((name, head.life?)))
            .collect();
        // Without a page size one page has everything, because the iOS manager never requests a second one.
        let max = max.map_or(usize::MAX, |max| max as usize);
        let next_token = call.cut_names(list, &mut lives, max, |(name, _)| name.to_string());
        let datasets: Vec<_> =
            lives.iter().map(|(name, life)| super::dataset(&owner.identity, name, life)).collect();
        Ok(Output { count: datasets.len() as u64, datasets, next_token })
    }
}
