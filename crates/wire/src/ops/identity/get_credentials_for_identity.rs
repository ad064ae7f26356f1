//! `GetCredentialsForIdentity` issues temporary credentials for an identity (`docs/protocol.md` section
//! 10.3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::Secret;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};
use crate::timestamp::Timestamp;

/// `GetCredentialsForIdentity` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetCredentialsForIdentity {}

impl Operation for GetCredentialsForIdentity {
    const SPEC: Spec = Spec {
        name: OperationName::GetCredentialsForIdentity,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Public,
        effect: Effect::Write,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::NotAuthorized,
            FaultKind::ResourceConflict,
            FaultKind::TooManyRequests,
            FaultKind::InvalidIdentityPoolConfiguration,
            FaultKind::InternalError,
            FaultKind::ExternalService,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = Output;
}

/// The input of `GetCredentialsForIdentity`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The identity's id.
    pub identity_id: Option<String>,
    /// Login tokens, by the provider's name.
    #[serde(deserialize_with = "member::map::<limits::Logins, _, _>")]
    pub logins: Option<BTreeMap<String, Secret>>,
    /// The role to assume when the login offers several.
    pub custom_role_arn: Option<String>,
}

/// The output of `GetCredentialsForIdentity`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The identity's id, which may differ from the requested one.
    pub identity_id: String,
    /// The credentials.
    pub credentials: Credentials,
}

/// Temporary credentials, with `SecretKey` where STS says `SecretAccessKey`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_key: Secret,
    /// The session token, sent with every request.
    pub session_token: Secret,
    /// The expiry time.
    pub expiration: Timestamp,
}

const INPUT_EXAMPLE: &str = r#"{
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "Logins": {
    "accounts.example.com": "token"
  },
  "CustomRoleArn": "arn:aws:iam::000000000000:role/user"
}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000002",
  "Credentials": {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretKey": "secret",
    "SessionToken": "session",
    "Expiration": 1412977657.0
  }
}"#;
