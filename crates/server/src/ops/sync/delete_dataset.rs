//! DeleteDataset (`docs/protocol.md` section 7.8).

use carryall_core::rules::delete_dataset::{self, Decision};
use carryall_core::store::StoreError;
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
                match delete_dataset::decide(&view, call.now, &at, &effects)? {
                    Decision::Apply { changes, was } => Ok(Step::Commit(changes, was)),
                    Decision::Damaged(what) => Err(StoreError::Corrupt { what }.into()),
                }
            })
            .await?;
        Ok(Output { dataset: super::dataset(&at.owner.identity, &at.name, &was) })
    }
}
