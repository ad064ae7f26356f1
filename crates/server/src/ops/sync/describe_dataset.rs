//! DescribeDataset (`docs/protocol.md` section 7.9).

use carryall_core::refusal::Refusal;
use carryall_wire::ops::sync::DescribeDataset;
use carryall_wire::ops::sync::describe_dataset::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for DescribeDataset {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let at = call.dataset(&input).await?;
        let head = call.app.state.reads().head(&at).await?.head;
        let life =
            head.and_then(|head| head.life).ok_or_else(|| Refusal::DatasetNotFound(at.name.clone()))?;
        Ok(Output { dataset: super::dataset(&at.owner.identity, &at.name, &life) })
    }
}
