//! The operator as a caller of the API's operations.

use std::net::Ipv4Addr;

use carryall_core::caller::Caller;
use carryall_core::ids::AccessKeyId;
use carryall_core::refusal::Refusal;
use carryall_wire::spec::Service;

use super::error::OperatorError;
use crate::app::App;
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::Call;
use crate::source::Source;

/// The access key id of the operator, who signs nothing.
#[expect(clippy::expect_used, reason = "sixteen letters are a key id")]
fn key() -> AccessKeyId {
    AccessKeyId::parse("CARRYALLOPERATOR").expect("the operator's key id is valid")
}

/// Carries out an operation of the API as the operator, who may call every operation.
pub(super) async fn run<O: Handler>(app: &App, input: O::Input) -> Result<O::Output, OperatorError> {
    let caller = Caller::Developer { key: key() };
    let done = async {
        let source = Source::of(Ipv4Addr::LOCALHOST.into());
        let holding = app.capacity.admit(Some(&caller), source, app.capacity.patience()).await?;
        let call = Call::new(app, Some(caller.clone()), app.clock.now(), source, holding);
        O::handle(&call, input).await
    };
    done.await.map_err(|failure: Failure| {
        // Callers of the API do not see the cause; an operator does.
        if let Failure::Store(error) = failure {
            return error.into();
        }
        failure.verdict(O::SPEC.service, Some(&O::SPEC)).fault.message.into()
    })
}

/// The error of an operator whose own request a rule refused.
pub(super) fn refused(refusal: Refusal) -> OperatorError {
    Failure::from(refusal).verdict(Service::Identity, None).fault.message.into()
}
