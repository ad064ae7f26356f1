//! `AssumeRoleWithWebIdentity` exchanges a token of `GetOpenIdToken` for temporary credentials, the second
//! half of the classic flow (`docs/protocol.md` section 11.1).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::Secret;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};
use crate::timestamp::{self, Timestamp};

/// `AssumeRoleWithWebIdentity` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum AssumeRoleWithWebIdentity {}

impl Operation for AssumeRoleWithWebIdentity {
    const SPEC: Spec = Spec {
        name: OperationName::AssumeRoleWithWebIdentity,
        service: Service::Sts,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Public,
        effect: Effect::Read,
        faults: &[
            FaultKind::MalformedPolicyDocument,
            FaultKind::PackedPolicyTooLarge,
            FaultKind::IdpRejectedClaim,
            FaultKind::IdpCommunicationError,
            FaultKind::InvalidIdentityToken,
            FaultKind::ExpiredIdentityToken,
            FaultKind::RegionDisabled,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `AssumeRoleWithWebIdentity`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The ARN of the role to assume.
    pub role_arn: Option<String>,
    /// A name for the session.
    pub role_session_name: Option<String>,
    /// The web identity token.
    pub web_identity_token: Option<Secret>,
    /// The provider's name, for tokens that are not OpenID Connect.
    pub provider_id: Option<String>,
    /// Managed session policies.
    #[serde(deserialize_with = "member::objects::<limits::PolicyArns, _, _>")]
    pub policy_arns: Option<Vec<PolicyDescriptor>>,
    /// An inline session policy.
    pub policy: Option<String>,
    /// The requested lifetime of the credentials, in seconds.
    #[serde(deserialize_with = "member::integer")]
    pub duration_seconds: Option<i64>,
}

/// The output of `AssumeRoleWithWebIdentity`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The credentials.
    pub credentials: Credentials,
    /// The subject of the token: the identity's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_from_web_identity_token: Option<String>,
    /// The role session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed_role_user: Option<AssumedRoleUser>,
    /// The size of the policies, in percent of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packed_policy_size: Option<u64>,
    /// The issuer of the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The audience of the token: the pool's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The source identity in the token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<String>,
}

/// A managed session policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyDescriptor {
    /// The policy's ARN. The member's name is lower-case on the wire.
    pub arn: Option<String>,
}

/// Temporary credentials, with `SecretAccessKey` where Cognito Identity says `SecretKey`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret,
    /// The session token, sent with every request.
    pub session_token: Secret,
    /// The expiry time.
    #[serde(with = "timestamp::iso8601")]
    pub expiration: Timestamp,
}

/// A role session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssumedRoleUser {
    /// The role's id and the session's name.
    pub assumed_role_id: String,
    /// The session's name in policies.
    pub arn: String,
}

const INPUT_EXAMPLE: &str = r#"{
  "RoleArn": "arn:aws:iam::000000000000:role/guest",
  "RoleSessionName": "web-identity",
  "WebIdentityToken": "header.claims.signature",
  "ProviderId": "www.example.com",
  "PolicyArns": [
    {
      "arn": "arn:aws:iam::000000000000:policy/less"
    },
    {
      "arn": "arn:aws:iam::000000000000:policy/least"
    }
  ],
  "Policy": "{\"Version\":\"2012-10-17\"}",
  "DurationSeconds": 3600
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "Credentials": {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "secret",
    "SessionToken": "session",
    "Expiration": "2014-10-10T21:47:37Z"
  },
  "SubjectFromWebIdentityToken": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "AssumedRoleUser": {
    "AssumedRoleId": "AROAEXAMPLE:web-identity",
    "Arn": "arn:aws:sts::000000000000:assumed-role/guest/web-identity"
  },
  "PackedPolicySize": 6,
  "Provider": "cognito-identity.amazonaws.com",
  "Audience": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "SourceIdentity": "notes"
}"#;
