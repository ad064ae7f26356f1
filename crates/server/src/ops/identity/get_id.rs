//! GetId (`docs/protocol.md` section 10.2).

use carryall_core::ids::IdentityId;
use carryall_core::rules::get_id;
use carryall_wire::ops::identity::GetId;
use carryall_wire::ops::identity::get_id::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;
use crate::state::attempt::Step;

impl Handler for GetId {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        get_id::refuse_logins(super::logins_count(input.logins.as_ref()))?;
        get_id::admit_guest(&pool)?;
        if !call.app.capacity.admits_new_identity(&pool.at.id, call.source) {
            return Err(Failure::Throttled);
        }
        let fresh = IdentityId::parse(&format!("{}:{}", pool.at.id.region(), call.app.clock.uuid()))?;
        call.app
            .state
            .attempt(&fresh, || async {
                // Looked up again each time, because the pool may be deleted at this very moment.
                let pool = call.pool(&input).await?;
                Ok(Step::Commit(get_id::decide(&pool, call.now, &fresh)?, ()))
            })
            .await?;
        Ok(Output { identity_id: fresh.to_string() })
    }
}
