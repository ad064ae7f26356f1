//! From the name of an operation to its type.

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
