//! `CreateIdentityPool` creates an identity pool (`docs/protocol.md` section 10.1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::FaultKind;
use crate::limits;
use crate::member;
use crate::shapes::{CognitoIdentityProvider, IdentityPool};
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `CreateIdentityPool` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum CreateIdentityPool {}

impl Operation for CreateIdentityPool {
    const SPEC: Spec = Spec {
        name: OperationName::CreateIdentityPool,
        service: Service::Identity,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::Developer,
        effect: Effect::Write,
        faults: &[
            FaultKind::InvalidParameter,
            FaultKind::NotAuthorized,
            FaultKind::ResourceConflict,
            FaultKind::TooManyRequests,
            FaultKind::InternalError,
            FaultKind::LimitExceeded,
        ],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Input;
    type Output = IdentityPool;
}

/// The input of `CreateIdentityPool`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Input {
    /// The pool's name.
    pub identity_pool_name: Option<String>,
    /// True if guests get identities.
    pub allow_unauthenticated_identities: Option<bool>,
    /// True if `AssumeRoleWithWebIdentity` is allowed.
    pub allow_classic_flow: Option<bool>,
    /// The app's id at each public login provider, by the provider's name.
    #[serde(deserialize_with = "member::map::<limits::SupportedLoginProviders, _, _>")]
    pub supported_login_providers: Option<BTreeMap<String, String>>,
    /// The provider name under which the developer's backend authenticates users.
    pub developer_provider_name: Option<String>,
    /// ARNs of OpenID Connect providers.
    #[serde(
        rename = "OpenIdConnectProviderARNs",
        deserialize_with = "member::list::<limits::OpenIdConnectProviderArns, _, _>"
    )]
    pub open_id_connect_provider_arns: Option<Vec<String>>,
    /// User pools that identities may log in with.
    #[serde(deserialize_with = "member::objects::<limits::CognitoIdentityProviders, _, _>")]
    pub cognito_identity_providers: Option<Vec<CognitoIdentityProvider>>,
    /// ARNs of SAML providers.
    #[serde(
        rename = "SamlProviderARNs",
        deserialize_with = "member::list::<limits::SamlProviderArns, _, _>"
    )]
    pub saml_provider_arns: Option<Vec<String>>,
    /// The pool's tags.
    #[serde(deserialize_with = "member::map::<limits::IdentityPoolTags, _, _>")]
    pub identity_pool_tags: Option<BTreeMap<String, String>>,
}

const INPUT_EXAMPLE: &str = r#"{
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
