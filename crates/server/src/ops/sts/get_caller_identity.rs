//! GetCallerIdentity: returns the principal that signed (`docs/protocol.md` section 11.2).

use carryall_core::caller::Caller;
use carryall_core::refusal::Refusal;
use carryall_wire::ops::sts::GetCallerIdentity;
use carryall_wire::ops::sts::get_caller_identity::Output;
use carryall_wire::shapes::Empty;

use super::SESSION_NAME;
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;

impl Handler for GetCallerIdentity {
    async fn handle(call: &Call<'_>, _input: Empty) -> Result<Output, Failure> {
        let account = call.app.config.account_id.clone();
        match call.caller.as_ref().ok_or(Refusal::NotAuthorized)? {
            Caller::Developer { key } => Ok(Output {
                user_id: key.to_string(),
                arn: format!("arn:aws:iam::{account}:user/{key}"),
                account,
            }),
            Caller::Identity { at, .. } => Ok(Output {
                user_id: format!("{}:{SESSION_NAME}", at.identity),
                arn: format!("arn:aws:sts::{account}:assumed-role/{}/{SESSION_NAME}", at.identity),
                account,
            }),
        }
    }
}
