//! What each operation does with a decoded, authorised request: load, decide, commit, answer. One file per operation,
//! named as in every layer; nothing here knows of HTTP.

pub mod identity;
#[cfg(test)]
mod model_tests;
pub mod sts;
pub mod sync;

use std::future::Future;

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::ids::PoolId;
use carryall_core::model::Pool;
use carryall_core::refusal::Refusal;
use carryall_core::time::UnixMillis;
use carryall_wire::spec::Operation;
use carryall_wire::timestamp::Timestamp;

use crate::access::Subject;
use crate::attempt::{Step, attempt};
use crate::call::{Call, required};
use crate::error::Failure;

/// An operation that can be carried out.
pub trait Handler: Operation {
    /// Whose data the request is about, as far as callers other than developers may ask for it.
    fn subject(_input: &Self::Input) -> Subject<'_> {
        Subject::Account
    }

    /// Carries it out.
    fn handle(
        call: &Call<'_>,
        input: Self::Input,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;
}

/// Calls `$run::<Operation>` for the operation that a name stands for.
macro_rules! dispatch {
    ($name:expr, $run:ident($($argument:expr),* $(,)?)) => {{
        use carryall_wire::ops::{identity, sts, sync};
        use carryall_wire::spec::OperationName as Name;
        match $name {
            Name::BulkPublish => $run::<sync::BulkPublish>($($argument),*).await,
            Name::DeleteDataset => $run::<sync::DeleteDataset>($($argument),*).await,
            Name::DescribeDataset => $run::<sync::DescribeDataset>($($argument),*).await,
            Name::DescribeIdentityPoolUsage => $run::<sync::DescribeIdentityPoolUsage>($($argument),*).await,
            Name::DescribeIdentityUsage => $run::<sync::DescribeIdentityUsage>($($argument),*).await,
            Name::GetBulkPublishDetails => $run::<sync::GetBulkPublishDetails>($($argument),*).await,
            Name::GetCognitoEvents => $run::<sync::GetCognitoEvents>($($argument),*).await,
            Name::GetIdentityPoolConfiguration => $run::<sync::GetIdentityPoolConfiguration>($($argument),*).await,
            Name::ListDatasets => $run::<sync::ListDatasets>($($argument),*).await,
            Name::ListIdentityPoolUsage => $run::<sync::ListIdentityPoolUsage>($($argument),*).await,
            Name::ListRecords => $run::<sync::ListRecords>($($argument),*).await,
            Name::RegisterDevice => $run::<sync::RegisterDevice>($($argument),*).await,
            Name::SetCognitoEvents => $run::<sync::SetCognitoEvents>($($argument),*).await,
            Name::SetIdentityPoolConfiguration => $run::<sync::SetIdentityPoolConfiguration>($($argument),*).await,
            Name::SubscribeToDataset => $run::<sync::SubscribeToDataset>($($argument),*).await,
            Name::UnsubscribeFromDataset => $run::<sync::UnsubscribeFromDataset>($($argument),*).await,
            Name::UpdateRecords => $run::<sync::UpdateRecords>($($argument),*).await,
            Name::CreateIdentityPool => $run::<identity::CreateIdentityPool>($($argument),*).await,
            Name::DeleteIdentities => $run::<identity::DeleteIdentities>($($argument),*).await,
            Name::DeleteIdentityPool => $run::<identity::DeleteIdentityPool>($($argument),*).await,
            Name::DescribeIdentity => $run::<identity::DescribeIdentity>($($argument),*).await,
            Name::DescribeIdentityPool => $run::<identity::DescribeIdentityPool>($($argument),*).await,
            Name::GetCredentialsForIdentity => $run::<identity::GetCredentialsForIdentity>($($argument),*).await,
            Name::GetId => $run::<identity::GetId>($($argument),*).await,
            Name::GetIdentityPoolRoles => $run::<identity::GetIdentityPoolRoles>($($argument),*).await,
            Name::GetOpenIdToken => $run::<identity::GetOpenIdToken>($($argument),*).await,
            Name::ListIdentities => $run::<identity::ListIdentities>($($argument),*).await,
            Name::ListIdentityPools => $run::<identity::ListIdentityPools>($($argument),*).await,
            Name::SetIdentityPoolRoles => $run::<identity::SetIdentityPoolRoles>($($argument),*).await,
            Name::UpdateIdentityPool => $run::<identity::UpdateIdentityPool>($($argument),*).await,
            Name::AssumeRoleWithWebIdentity => $run::<sts::AssumeRoleWithWebIdentity>($($argument),*).await,
            Name::GetCallerIdentity => $run::<sts::GetCallerIdentity>($($argument),*).await,
        }
    }};
}
pub(crate) use dispatch;

/// A moment as it goes over the wire.
pub(crate) fn timestamp(moment: UnixMillis) -> Timestamp {
    Timestamp::from_unix_milliseconds(moment.0)
}

/// Changes the settings of the pool that the request names, and returns them as they are then.
pub(crate) async fn change_pool(
    call: &Call<'_>,
    id: Option<&str>,
    edit: impl Fn(&mut Pool) -> Result<(), Failure> + Sync,
) -> Result<Pool, Failure> {
    let id = PoolId::parse(required("identityPoolId", id)?)?;
    attempt(call.app, &id, || async {
        let stored = call.app.store.pool(&id).await?;
        let mut pool = stored.ok_or_else(|| Refusal::PoolNotFound(id.clone()))?;
        let expect = Expect::PoolVersion(pool.at.clone(), pool.version);
        edit(&mut pool)?;
        pool.version = pool.version.next();
        let write = Write::PutPool(Box::new(pool.clone()));
        Ok(Step::Commit(Changes { expect: vec![expect], write: vec![write] }, pool))
    })
    .await
}
