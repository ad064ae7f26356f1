//! `DescribeIdentityPool` describes a pool (`docs/protocol.md` section 10.1).

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::shapes::IdentityPool;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `DescribeIdentityPool` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum DescribeIdentityPool {}

impl Operation for DescribeIdentityPool {
    const SPEC: Spec = Spec {
        name: OperationName::DescribeIdentityPool,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Developer,
        effect: Effect::Read,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::ResourceNotFound,
            FaultKind::NotAuthorized,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = IdentityPool;
}

/// The input of `DescribeIdentityPool`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's id.
    pub identity_pool_id: Option<String>,
}

const INPUT_EXAMPLE: &str = r#"{"IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001"}"#;

const OUTPUT_EXAMPLE: &str = r#"{
  "IdentityPoolId": "us-east-1:6d1c0e1e-3f5b-4b53-9d8e-000000000001",
  "IdentityPoolName": "notes",
  "AllowUnauthenticatedIdentities": true,
  "AllowClassicFlow": true,
  "SupportedLoginProviders": {
    "accounts.example.com": "app-1"
  },
  "DeveloperProviderName": "login.notes",
  "OpenIdConnectProviderARNs": [
    "arn:aws:iam::000000000000:oidc-provider/id.example.com"
  ],
  "CognitoIdentityProviders": [
    {
      "ProviderName": "cognito-idp.us-east-1.amazonaws.com/us-east-1_1",
      "ClientId": "client1",
      "ServerSideTokenCheck": false
    }
  ],
  "SamlProviderARNs": [
    "arn:aws:iam::000000000000:saml-provider/office"
  ],
  "IdentityPoolTags": {
    "team": "notes"
  }
}"#;
