//! DescribeIdentity (`docs/protocol.md` section 10.4).

use carryall_wire::ops::identity::DescribeIdentity;
use carryall_wire::ops::identity::describe_identity::Input;
use carryall_wire::shapes::IdentityDescription;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for DescribeIdentity {
    async fn handle(call: &Call<'_>, input: Input) -> Result<IdentityDescription, Failure> {
        let identity = super::identity(call, input.identity_id.as_deref()).await?;
        Ok(super::description(&identity))
    }
}
