//! `GetCallerIdentity` returns the principal whose credentials signed the request (`docs/protocol.md` section
//! 11.2).

use serde::{Deserialize, Serialize};

use crate::shapes::Empty;
use crate::spec::{
    Access, Effect, Example, Method, Operation, OperationName, SETTINGS_BODY_BYTES_MAX, Service, Spec,
};

/// `GetCallerIdentity` as a type: its table row and its messages.
#[derive(Clone, Copy, Debug)]
pub enum GetCallerIdentity {}

impl Operation for GetCallerIdentity {
    const SPEC: Spec = Spec {
        name: OperationName::GetCallerIdentity,
        service: Service::Sts,
        method: Method::Post,
        path: "/",
        binds: &[],
        access: Access::AnySigned,
        effect: Effect::Read,
        faults: &[],
        body_bytes_max: SETTINGS_BODY_BYTES_MAX,
        example: Example { input: INPUT_EXAMPLE, output: OUTPUT_EXAMPLE },
    };
    type Input = Empty;
    type Output = Output;
}

/// The output of `GetCallerIdentity`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Output {
    /// The caller's unique id.
    pub user_id: String,
    /// The account's id.
    pub account: String,
    /// The caller's ARN.
    pub arn: String,
}

const INPUT_EXAMPLE: &str = r"{}";

const OUTPUT_EXAMPLE: &str = r#"{
  "UserId": "000000000000",
  "Account": "000000000000",
  "Arn": "arn:aws:iam::000000000000:root"
}"#;
