//! Structures that several operations share, as in the published models.
//!
//! They are messages, not the program's own model of a dataset or a pool. They are neither checked nor
//! stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json_text::{self, Sink};
use crate::limits;
use crate::member;
use crate::timestamp::Timestamp;

/// A token or a secret key. It is sent over the wire and must not appear anywhere else, least of all in a
/// log.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// The secret's text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// A message without members. It is read from any object, since unknown members are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The description of a dataset (`docs/protocol.md` section 7.9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dataset {
    /// The id of the identity that owns the dataset.
    pub identity_id: String,
    /// The dataset's name.
    pub dataset_name: String,
    /// The time when its first record was written.
    pub creation_date: Timestamp,
    /// The time of the last write.
    pub last_modified_date: Timestamp,
    /// The last writer: a device, an identity or an account.
    pub last_modified_by: Option<String>,
    /// The size of its keys and values, in UTF-8 bytes.
    pub data_storage: u64,
    /// The number of records, tombstones not counted.
    pub num_records: u64,
}

/// A record, or the tombstone of one when the value is null (`docs/protocol.md` section 7.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// The record's key. It is shared, because a page holds a thousand records.
    pub key: Arc<str>,
    /// The record's value; null (never empty) if the record was removed.
    pub value: Option<String>,
    /// The dataset's count at the last write of the record.
    pub sync_count: u64,
    /// The server's time of the last write.
    pub last_modified_date: Timestamp,
    /// The last writer: a device, an identity or an account.
    pub last_modified_by: Option<Arc<str>>,
    /// The device's time of the last write; the server's time if the device sent none.
    pub device_last_modified_date: Timestamp,
}

impl Record {
    /// Writes the record as JSON, for a listing or an update.
    pub fn write_json(&self, sink: &mut impl Sink) {
        json_text::record(
            sink,
            &self.key,
            self.value.as_deref(),
            self.sync_count,
            self.last_modified_date,
            self.last_modified_by.as_deref(),
            self.device_last_modified_date,
        );
    }
}

/// A pool's usage (`docs/protocol.md` section 8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPoolUsage {
    /// The pool's id.
    pub identity_pool_id: String,
    /// The number of sync sessions so far; null before the first.
    pub sync_sessions_count: Option<u64>,
    /// The size of all its records, in UTF-8 bytes.
    pub data_storage: u64,
    /// The time of the last write in the pool.
    pub last_modified_date: Option<Timestamp>,
}

/// An identity's usage (`docs/protocol.md` section 8.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityUsage {
    /// The identity's id.
    pub identity_id: String,
    /// The pool's id.
    pub identity_pool_id: String,
    /// The time of the last write in any of its datasets.
    pub last_modified_date: Option<Timestamp>,
    /// The number of datasets.
    pub dataset_count: u64,
    /// The size of all its records, in UTF-8 bytes.
    pub data_storage: u64,
}

/// A pool's push settings (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PushSync {
    /// The ARNs of the SNS platform applications.
    #[serde(deserialize_with = "member::list::<limits::ApplicationArns, _, _>")]
    pub application_arns: Option<Vec<String>>,
    /// The ARN of the role that may publish to them.
    pub role_arn: Option<String>,
}

/// A pool's stream settings (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CognitoStreams {
    /// The name of the Kinesis stream.
    pub stream_name: Option<String>,
    /// The ARN of the role that may write to the stream.
    pub role_arn: Option<String>,
    /// `ENABLED` or `DISABLED`.
    pub streaming_status: Option<String>,
    /// The reason why the service disabled streaming. The API documents have this member, no SDK's model
    /// does; ignored in requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
}

/// A user pool that identities may log in with (`docs/protocol.md` section 10.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CognitoIdentityProvider {
    /// The user pool's issuer without the scheme.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_name: Option<String>,
    /// The id of the app client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// True to ask the user pool whether a token has been revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_side_token_check: Option<bool>,
}

/// The description of an identity pool (`docs/protocol.md` section 10.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPool {
    /// The pool's id, `region:uuid`.
    pub identity_pool_id: String,
    /// The pool's name.
    pub identity_pool_name: String,
    /// True if guests get identities.
    pub allow_unauthenticated_identities: bool,
    /// True if `AssumeRoleWithWebIdentity` is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_classic_flow: Option<bool>,
    /// The app's id at each public login provider, by the provider's name.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::map::<limits::SupportedLoginProviders, _, _>"
    )]
    pub supported_login_providers: Option<BTreeMap<String, String>>,
    /// The provider name under which the developer's backend authenticates users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_provider_name: Option<String>,
    /// ARNs of OpenID Connect providers.
    #[serde(
        rename = "OpenIdConnectProviderARNs",
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::list::<limits::OpenIdConnectProviderArns, _, _>"
    )]
    pub open_id_connect_provider_arns: Option<Vec<String>>,
    /// User pools that identities may log in with.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::objects::<limits::CognitoIdentityProviders, _, _>"
    )]
    pub cognito_identity_providers: Option<Vec<CognitoIdentityProvider>>,
    /// ARNs of SAML providers.
    #[serde(
        rename = "SamlProviderARNs",
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::list::<limits::SamlProviderArns, _, _>"
    )]
    pub saml_provider_arns: Option<Vec<String>>,
    /// The pool's tags.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::map::<limits::IdentityPoolTags, _, _>"
    )]
    pub identity_pool_tags: Option<BTreeMap<String, String>>,
}

/// The description of an identity (`docs/protocol.md` section 10.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityDescription {
    /// The identity's id, `region:uuid`.
    pub identity_id: String,
    /// The names of its login providers; empty for a guest.
    pub logins: Vec<String>,
    /// The time of creation.
    pub creation_date: Timestamp,
    /// The time of the last change of its logins.
    pub last_modified_date: Timestamp,
}

/// The choice of roles for the users of one provider (`docs/protocol.md` section 10.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RoleMapping {
    /// `Token` or `Rules`.
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// `AuthenticatedRole` or `Deny`.
    #[serde(rename = "AmbiguousRoleResolution", skip_serializing_if = "Option::is_none")]
    pub ambiguous_role_resolution: Option<String>,
    /// The rules, if the type is `Rules`.
    #[serde(
        rename = "RulesConfiguration",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "member::object"
    )]
    pub rules_configuration: Option<RulesConfiguration>,
}

/// The rules of a [`RoleMapping`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RulesConfiguration {
    /// The rules, in the order in which they are tried.
    #[serde(deserialize_with = "member::objects::<limits::Rules, _, _>")]
    pub rules: Option<Vec<MappingRule>>,
}

/// One rule of a [`RulesConfiguration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MappingRule {
    /// The name of the claim to compare.
    pub claim: Option<String>,
    /// `Equals`, `Contains`, `StartsWith` or `NotEqual`.
    pub match_type: Option<String>,
    /// The value to compare the claim with.
    pub value: Option<String>,
    /// The ARN of the role to use on a match.
    #[serde(rename = "RoleARN")]
    pub role_arn: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_on_the_wire_but_never_for_people() {
        let secret = Secret::from("hunter2".to_owned());
        assert_eq!(serde_json::to_string(&secret).expect("text"), "\"hunter2\"");
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }
}
