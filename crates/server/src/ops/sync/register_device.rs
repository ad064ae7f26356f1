//! RegisterDevice: registers a device with the push service, or repairs its registration there
//! (`docs/protocol.md` section 9.4).

use std::time::Duration;

use carryall_core::devices::{Platform, PushToken};
use carryall_core::ids::{DeviceId, IdentityId, PoolId};
use carryall_core::model::IdentityRef;
use carryall_core::rules::register_device;
use carryall_outbound::{PushPort, Undelivered};
use carryall_wire::ops::sync::RegisterDevice;
use carryall_wire::ops::sync::register_device::{Input, Output};
use secrecy::SecretString;
use tokio::time::timeout;

use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::state::attempt::Step;

/// The time limit of a registration with the push service, in seconds.
const REGISTRATION_SECONDS_MAX: u64 = 10;

impl Handler for RegisterDevice {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let identity = IdentityId::parse(required("identityId", input.identity_id.as_deref())?)?;
        let platform = Platform::parse(required("platform", input.platform.as_deref())?)?;
        let token = PushToken::parse(required("token", input.token.as_deref())?)?;
        let pool = call.pool(&input).await?;
        let application_arn = register_device::application(&pool, platform)?;
        let role_arn = pool.push.as_ref().and_then(|push| push.role_arn.as_deref());
        let port = call.app.outbound.push(pool.at.id.as_str(), application_arn, role_arn);
        let endpoint = register(call, &pool.at.id, &*port, &token).await?;
        let request = register_device::RegisterDevice {
            owner: IdentityRef { pool: pool.at.clone(), identity },
            platform,
            token,
            application_arn: application_arn.to_owned(),
            endpoint,
            fresh_id: DeviceId::parse(&call.app.clock.uuid().to_string())?,
        };
        let id = call
            .app
            .state
            .attempt(&request.owner, || async {
                let devices = call.app.state.reads().devices(&request.owner).await?;
                let (changes, id) = register_device::decide(&devices, call.now, &request);
                Ok(Step::Commit(changes, id))
            })
            .await?;
        Ok(Output { device_id: id.to_string() })
    }
}

/// Registers the device with the push service. A slow service holds no more permits than its pool's.
async fn register(
    call: &Call<'_>,
    pool: &PoolId,
    port: &dyn PushPort,
    token: &PushToken,
) -> Result<String, Failure> {
    let not_now = |cause: &str| Failure::Push(Undelivered::Retry { cause: cause.to_owned() });
    let permit = call.app.capacity.register_device(pool.as_str());
    let _permit = permit.ok_or_else(|| not_now("too many devices of the pool are being registered"))?;
    let token = SecretString::from(token.expose());
    let registration = timeout(Duration::from_secs(REGISTRATION_SECONDS_MAX), port.register(&token));
    registration.await.map_err(|_| not_now("the push service is too slow"))?.map_err(Failure::Push)
}
