//! A pool as JSON: rarely written, often extended. Members that an older version did not write are absent, never an
//! error; members that this version does not know are refused, since dropping them would lose settings.

use std::collections::BTreeMap;

use carryall_core::ids::{PoolId, PoolIncarnation, Version};
use carryall_core::model::{CognitoStreams, Pool, PoolRef, PushSync, StreamingStatus, UserPoolProvider};
use carryall_core::store::StoreError;
use carryall_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolRow {
    id: String,
    incarnation: u64,
    version: u64,
    created: i64,
    name: String,
    allow_guests: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_classic_flow: Option<bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    login_providers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    developer_provider: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open_id_providers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    saml_providers: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    user_pools: Vec<UserPoolRow>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    roles: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_mappings: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    push: Option<PushRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    streams: Option<StreamsRow>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    events: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserPoolRow {
    provider: Option<String>,
    client_id: Option<String>,
    server_side_token_check: Option<bool>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PushRow {
    application_arns: Vec<String>,
    role_arn: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamsRow {
    stream_name: Option<String>,
    role_arn: Option<String>,
    enabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<String>,
}

impl From<UserPoolProvider> for UserPoolRow {
    fn from(of: UserPoolProvider) -> Self {
        let UserPoolProvider { provider, client_id, server_side_token_check } = of;
        Self { provider, client_id, server_side_token_check }
    }
}

impl From<UserPoolRow> for UserPoolProvider {
    fn from(row: UserPoolRow) -> Self {
        let UserPoolRow { provider, client_id, server_side_token_check } = row;
        Self { provider, client_id, server_side_token_check }
    }
}

impl From<PushSync> for PushRow {
    fn from(of: PushSync) -> Self {
        Self { application_arns: of.application_arns, role_arn: of.role_arn }
    }
}

impl From<PushRow> for PushSync {
    fn from(row: PushRow) -> Self {
        Self { application_arns: row.application_arns, role_arn: row.role_arn }
    }
}

impl From<CognitoStreams> for StreamsRow {
    fn from(of: CognitoStreams) -> Self {
        let enabled = of.status.map(|status| match status {
            StreamingStatus::Enabled => true,
            StreamingStatus::Disabled => false,
        });
        let CognitoStreams { stream_name, role_arn, status: _, disabled_reason } = of;
        Self { stream_name, role_arn, enabled, disabled_reason }
    }
}

impl From<StreamsRow> for CognitoStreams {
    fn from(row: StreamsRow) -> Self {
        let status = |enabled| if enabled { StreamingStatus::Enabled } else { StreamingStatus::Disabled };
        let StreamsRow { stream_name, role_arn, enabled, disabled_reason } = row;
        Self { stream_name, role_arn, status: enabled.map(status), disabled_reason }
    }
}

impl From<Pool> for PoolRow {
    fn from(pool: Pool) -> Self {
        Self {
            id: pool.at.id.as_str().to_owned(),
            incarnation: pool.at.incarnation.0,
            version: pool.version.0,
            created: pool.created.0,
            name: pool.name,
            allow_guests: pool.allow_guests,
            allow_classic_flow: pool.allow_classic_flow,
            login_providers: pool.login_providers,
            developer_provider: pool.developer_provider,
            open_id_providers: pool.open_id_providers,
            saml_providers: pool.saml_providers,
            user_pools: pool.user_pools.into_iter().map(Into::into).collect(),
            tags: pool.tags,
            roles: pool.roles,
            role_mappings: pool.role_mappings,
            push: pool.push.map(Into::into),
            streams: pool.streams.map(Into::into),
            events: pool.events,
        }
    }
}

impl PoolRow {
    fn into_pool(self) -> Option<Pool> {
        Some(Pool {
            at: PoolRef { id: PoolId::parse(&self.id).ok()?, incarnation: PoolIncarnation(self.incarnation) },
            version: Version(self.version),
            created: UnixMillis(self.created),
            name: self.name,
            allow_guests: self.allow_guests,
            allow_classic_flow: self.allow_classic_flow,
            login_providers: self.login_providers,
            developer_provider: self.developer_provider,
            open_id_providers: self.open_id_providers,
            saml_providers: self.saml_providers,
            user_pools: self.user_pools.into_iter().map(Into::into).collect(),
            tags: self.tags,
            roles: self.roles,
            role_mappings: self.role_mappings,
            push: self.push.map(Into::into),
            streams: self.streams.map(Into::into),
            events: self.events,
        })
    }
}

pub(crate) fn to_row(pool: Pool) -> Result<Vec<u8>, StoreError> {
    let mut row = vec![VERSION];
    serde_json::to_writer(&mut row, &PoolRow::from(pool)).map_err(|error| StoreError::Corrupt {
        what: format!("a pool cannot be written as JSON: {error}"),
    })?;
    Ok(row)
}

pub(crate) fn from_row(row: &[u8]) -> Result<Pool, StoreError> {
    let damaged = |how: String| StoreError::Corrupt { what: format!("a row (pool) {how}") };
    match row.split_first() {
        Some((&VERSION, json)) => serde_json::from_slice::<PoolRow>(json)
            .map_err(|error| damaged(error.to_string()))?
            .into_pool()
            .ok_or_else(|| damaged("has an invalid id".to_owned())),
        Some((version, _)) => Err(damaged(format!("has version {version}"))),
        None => Err(damaged("is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        let texts = || BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        Pool {
            at: PoolRef {
                id: PoolId::parse("us-east-1:0a").unwrap(),
                incarnation: PoolIncarnation(u64::MAX),
            },
            version: Version(3),
            created: UnixMillis(-1),
            name: "n".into(),
            allow_guests: true,
            allow_classic_flow: Some(false),
            login_providers: texts(),
            developer_provider: Some("d".into()),
            open_id_providers: vec!["o".into()],
            saml_providers: vec!["s".into()],
            user_pools: vec![UserPoolProvider {
                provider: Some("p".into()),
                client_id: None,
                server_side_token_check: Some(true),
            }],
            tags: texts(),
            roles: texts(),
            role_mappings: Some("{}".into()),
            push: Some(PushSync { application_arns: vec!["a".into()], role_arn: None }),
            streams: Some(CognitoStreams {
                stream_name: Some("s".into()),
                role_arn: Some("r".into()),
                status: Some(StreamingStatus::Disabled),
                disabled_reason: Some("the stream is gone".into()),
            }),
            events: texts(),
        }
    }

    #[test]
    fn a_pool_survives_its_row() {
        let full = pool();
        assert_eq!(from_row(&to_row(full.clone()).unwrap()), Ok(full));
    }

    #[test]
    fn a_pool_with_an_unknown_member_is_refused_rather_than_trimmed() {
        let mut row = to_row(pool()).unwrap();
        let last = row.len() - 1;
        row.splice(last..last, br#","later":1"#.iter().copied());
        assert!(from_row(&row).unwrap_err().to_string().contains("later"));
        assert!(from_row(&[]).is_err());
        assert!(from_row(&[9]).is_err());
    }
}
