//! RegisterDevice: makes a device known to the push service, or repairs what it knows of it
//! (`docs/protocol.md` section 9.4).

use carryall_core::devices::{Platform, PushToken};
use carryall_core::ids::{DeviceId, IdentityId};
use carryall_core::model::IdentityRef;
use carryall_core::rules::register_device;
use carryall_wire::ops::sync::RegisterDevice;
use carryall_wire::ops::sync::register_device::{Input, Output};
use secrecy::SecretString;

use crate::access::Subject;
use crate::attempt::{Step, attempt};
use crate::call::{Call, required};
use crate::error::Failure;
use crate::ops::Handler;

impl Handler for RegisterDevice {
    fn subject(input: &Input) -> Subject<'_> {
        Subject::Identity { pool: input.identity_pool_id.as_deref(), identity: input.identity_id.as_deref() }
    }

    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let identity = IdentityId::parse(required("identityId", input.identity_id.as_deref())?)?;
        let platform = Platform::parse(required("platform", input.platform.as_deref())?)?;
        let token = PushToken::parse(required("token", input.token.as_deref())?)?;
        let pool = call.pool(input.identity_pool_id.as_deref()).await?;
        let application_arn = register_device::application(&pool, platform)?;
        let role_arn = pool.push.as_ref().and_then(|push| push.role_arn.as_deref());
        let port = call.app.outbound.push(pool.at.id.as_str(), application_arn, role_arn);
        let endpoint = port.register(&SecretString::from(token.expose())).await.map_err(Failure::Push)?;
        let request = register_device::RegisterDevice {
            owner: IdentityRef { pool: pool.at.clone(), identity },
            platform,
            token,
            application_arn: application_arn.to_owned(),
            endpoint,
            fresh_id: DeviceId::parse(&call.app.clock.uuid().to_string())?,
        };
        let id = attempt(call.app, &request.owner, || async {
            let devices = call.app.store.devices(&request.owner).await?;
            let (changes, id) = register_device::decide(&devices, call.now, &request);
            Ok(Step::Commit(changes, id))
        })
        .await?;
        Ok(Output { device_id: id.to_string() })
    }
}
