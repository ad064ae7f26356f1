//! GetId: hands out an identity (`docs/protocol.md` section 10.2).

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::{IdentityEpoch, IdentityId};
use carryall_core::model::{Identity, IdentityRef};
use carryall_core::refusal::Refusal;
use carryall_wire::ops::identity::GetId;
use carryall_wire::ops::identity::get_id::{Input, Output};

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;
use crate::state::attempt::Step;

impl Handler for GetId {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let pool = call.pool(&input).await?;
        super::refuse_logins(input.logins.as_ref())?;
        if !pool.allow_guests {
            return Err(Refusal::GuestsNotAllowed(pool.at.id.clone()).into());
        }
        if !call.app.capacity.admits_new_identity(&pool.at.id, call.source) {
            return Err(Failure::Throttled);
        }
        let id = format!("{}:{}", pool.at.id.region(), call.app.clock.uuid());
        let identity = IdentityId::parse(&id)?;
        call.app
            .state
            .attempt(&identity, || async {
                // Looked up again each time: the pool may be deleted at this very moment.
                let pool = call.pool(&input).await?;
                let at = IdentityRef { pool: pool.at.clone(), identity: identity.clone() };
                let changes = Changes {
                    expect: vec![Expect::Pool(pool.at.clone()), Expect::NoIdentity(at.clone())],
                    write: vec![Write::PutIdentity(Identity {
                        at,
                        epoch: IdentityEpoch(0),
                        created: call.now,
                        modified: call.now,
                    })],
                };
                Ok(Step::Commit(changes, ()))
            })
            .await?;
        Ok(Output { identity_id: id })
    }
}
