//! Structures that more than one operation uses, as the published models have them.
//!
//! They are messages, not the program's own notion of a dataset or a pool: nothing here is checked or stored.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json_size;
use crate::limits;
use crate::member;
use crate::timestamp::Timestamp;

/// Text that opens something: a token or a secret key. It goes over the wire and nowhere else, least of all into a
/// log.
#[derive(Clone, Default)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself.
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

/// An answer, or a request, without members. It is read from any object, since unknown members are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// A dataset's description (`docs/protocol.md` section 7.9).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Dataset {
    /// The identity that owns it.
    pub identity_id: String,
    /// Its name.
    pub dataset_name: String,
    /// When its first record was written.
    pub creation_date: Timestamp,
    /// When it was last written.
    pub last_modified_date: Timestamp,
    /// Who wrote it last: a device, an identity or an account.
    pub last_modified_by: Option<String>,
    /// The UTF-8 bytes of its keys and values.
    pub data_storage: u64,
    /// How many records it has, tombstones not counted.
    pub num_records: u64,
}

/// A record, or the tombstone of one when the value is null (`docs/protocol.md` section 7.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Record {
    /// Its key; shared, as a page holds a thousand of them.
    pub key: Arc<str>,
    /// Its value; null, never empty, when it has been removed.
    pub value: Option<String>,
    /// The dataset's count when it was last written.
    pub sync_count: u64,
    /// When the server wrote it.
    pub last_modified_date: Timestamp,
    /// Who wrote it: a device, an identity or an account.
    pub last_modified_by: Option<Arc<str>>,
    /// When the device says that it wrote it; the server's time when the device did not say.
    pub device_last_modified_date: Timestamp,
}

impl Record {
    /// The size in a listing or an update, in bytes of JSON.
    pub fn json_bytes(&self) -> usize {
        json_size::record(
            &self.key,
            self.value.as_deref(),
            self.sync_count,
            self.last_modified_date,
            self.last_modified_by.as_deref(),
            self.device_last_modified_date,
        )
    }
}

/// A pool's usage (`docs/protocol.md` section 8.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPoolUsage {
    /// The pool.
    pub identity_pool_id: String,
    /// Sync sessions so far; null before the first.
    pub sync_sessions_count: Option<u64>,
    /// The UTF-8 bytes of all its records.
    pub data_storage: u64,
    /// When anything in it was last written.
    pub last_modified_date: Option<Timestamp>,
}

/// An identity's usage (`docs/protocol.md` section 8.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityUsage {
    /// The identity.
    pub identity_id: String,
    /// Its pool.
    pub identity_pool_id: String,
    /// When any of its datasets was last written.
    pub last_modified_date: Option<Timestamp>,
    /// How many datasets it has.
    pub dataset_count: u64,
    /// The UTF-8 bytes of all their records.
    pub data_storage: u64,
}

/// A pool's push settings (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PushSync {
    /// The SNS platform applications.
    #[serde(deserialize_with = "member::list::<limits::ApplicationArns, _, _>")]
    pub application_arns: Option<Vec<String>>,
    /// The role that may publish to them.
    pub role_arn: Option<String>,
}

/// A pool's stream settings (`docs/protocol.md` section 9.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CognitoStreams {
    /// The Kinesis stream.
    pub stream_name: Option<String>,
    /// The role that may write to it.
    pub role_arn: Option<String>,
    /// `ENABLED` or `DISABLED`.
    pub streaming_status: Option<String>,
    /// Why the service switched streaming off. In the API documents but in no SDK's model; ignored when sent.
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
    /// The app client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether to ask the user pool if a token has been revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_side_token_check: Option<bool>,
}

/// An identity pool as it is described (`docs/protocol.md` section 10.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityPool {
    /// Its id, `region:uuid`.
    pub identity_pool_id: String,
    /// Its name.
    pub identity_pool_name: String,
    /// Whether guests get identities.
    pub allow_unauthenticated_identities: bool,
    /// Whether `AssumeRoleWithWebIdentity` is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_classic_flow: Option<bool>,
    /// Public login providers and the app's id at each.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::map::<limits::SupportedLoginProviders, _, _>"
    )]
    pub supported_login_providers: Option<BTreeMap<String, String>>,
    /// The name under which the developer's own backend vouches for users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub developer_provider_name: Option<String>,
    /// OpenID Connect providers.
    #[serde(
        rename = "OpenIdConnectProviderARNs",
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::list::<limits::OpenIdConnectProviderArns, _, _>"
    )]
    pub open_id_connect_provider_arns: Option<Vec<String>>,
    /// User pools.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::objects::<limits::CognitoIdentityProviders, _, _>"
    )]
    pub cognito_identity_providers: Option<Vec<CognitoIdentityProvider>>,
    /// SAML providers.
    #[serde(
        rename = "SamlProviderARNs",
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::list::<limits::SamlProviderArns, _, _>"
    )]
    pub saml_provider_arns: Option<Vec<String>>,
    /// Tags.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        deserialize_with = "member::map::<limits::IdentityPoolTags, _, _>"
    )]
    pub identity_pool_tags: Option<BTreeMap<String, String>>,
}

/// An identity as it is described (`docs/protocol.md` section 10.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IdentityDescription {
    /// Its id, `region:uuid`.
    pub identity_id: String,
    /// The names of its login providers; empty for a guest.
    pub logins: Vec<String>,
    /// When it was made.
    pub creation_date: Timestamp,
    /// When its logins last changed.
    pub last_modified_date: Timestamp,
}

/// How roles are chosen for the users of one provider (`docs/protocol.md` section 10.6).
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
    /// In the order in which they are tried.
    #[serde(deserialize_with = "member::objects::<limits::Rules, _, _>")]
    pub rules: Option<Vec<MappingRule>>,
}

/// One rule of a [`RulesConfiguration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MappingRule {
    /// The claim that is looked at.
    pub claim: Option<String>,
    /// `Equals`, `Contains`, `StartsWith` or `NotEqual`.
    pub match_type: Option<String>,
    /// What it is compared with.
    pub value: Option<String>,
    /// The role when it matches.
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
