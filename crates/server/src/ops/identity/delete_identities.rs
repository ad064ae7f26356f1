//! DeleteIdentities (`docs/protocol.md` section 10.5).

use carryall_core::limits::IDENTITIES_PER_DELETION_MAX;
use carryall_core::model::IdentityRef;
use carryall_core::rules::delete_identities;
use carryall_wire::limits::{IdentityIdsToDelete, Limit};
use carryall_wire::ops::identity::DeleteIdentities;
use carryall_wire::ops::identity::delete_identities::{Input, Output, UnprocessedIdentityId};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

/// Decoding stops where the rule refuses.
const _: () = assert!(IdentityIdsToDelete::ENTRIES_MAX == IDENTITIES_PER_DELETION_MAX);

impl Handler for DeleteIdentities {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let ids = required("identityIdsToDelete", input.identity_ids_to_delete.as_ref())?;
        let mut unprocessed = Vec::new();
        for id in delete_identities::named(ids)? {
            // A missing identity counts as deleted, so that a repeated request succeeds.
            let Some(identity) = call.app.state.reads().identity(&id).await? else { continue };
            if let Err(failure) = delete(call, &identity.at).await {
                tracing::error!(identity = %id, ?failure, "an identity could not be deleted");
                unprocessed.push(UnprocessedIdentityId {
                    identity_id: id.to_string(),
                    error_code: "InternalServerError".to_owned(),
                });
            }
        }
        Ok(Output { unprocessed_identity_ids: unprocessed })
    }
}

async fn delete(call: &Call<'_>, at: &IdentityRef) -> Result<(), Failure> {
    call.app
        .state
        .attempt(at, || async {
            let view = call.app.state.reads().heads(at).await?;
            let effects = call.effects(at).await?.without_devices();
            Ok(Step::Commit(delete_identities::decide(&view, call.now, at, &effects), ()))
        })
        .await
}
