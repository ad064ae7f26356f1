//! DeleteDataset (`docs/protocol.md` section 7.8).

use carryall_core::rules::delete_dataset;
use carryall_wire::ops::sync::DeleteDataset;
use carryall_wire::ops::sync::delete_dataset::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;
use crate::state::attempt::Step;

impl Handler for DeleteDataset {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let at = call.dataset(&input).await?;
        let was = call
            .app
            .state
            .attempt(&at, || async {
                let view = call.app.state.reads().heads(&at.owner).await?;
                let effects = call.effects(&at.owner).await?;
                let decision = delete_dataset::decide(&view, call.now, &at, &effects)?;
                Ok(Step::Commit(decision.changes, decision.was))
            })
            .await?;
        Ok(Output { dataset: super::dataset(&at.owner.identity, &at.name, &was) })
    }
}
