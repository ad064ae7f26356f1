//! Calls to the AWS services that the peers emulate, in the three protocols of those services, signed by the
//! AWS SDK's signer. The harness uses them for its own purposes; the server makes its own calls.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::api::{Api, encoded, text};
use crate::caller::Caller;
use crate::http::{Request, Response};
use crate::signing::Signing;

/// One service at one peer, called by one caller.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The peer's address.
    pub peer: SocketAddr,
    /// The credentials to sign with.
    pub caller: &'a Caller,
    /// The service's name in signatures, such as `sns`.
    pub name: &'a str,
}

impl Service<'_> {
    /// Sends a signed request unchanged.
    pub fn send(&self, request: Request) -> Response {
        Api::at(self.peer).send(&Signing::by(self.caller, self.name).headers(request, self.peer))
    }

    /// Calls an operation of the query protocol: IAM, SNS and STS.
    pub fn query(&self, version: &str, operation: &str, fields: &[(&str, &str)]) -> Response {
        let mut body = format!("Action={operation}&Version={version}");
        for (name, value) in fields {
            body.extend(["&", &encoded(name), "=", &encoded(value)]);
        }
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        self.send(Request::new("POST", "/").header("Content-Type", form).body(body))
    }

    /// Calls an operation of the JSON 1.1 protocol, such as `Kinesis_20131202.PutRecord`.
    pub fn json(&self, target: &str, input: &Value) -> Response {
        let request = Request::new("POST", "/")
            .header("X-Amz-Target", target)
            .header("Content-Type", "application/x-amz-json-1.1");
        self.send(request.body(input.to_string()))
    }

    /// Calls an operation of the REST protocol: Lambda and S3.
    pub fn rest(&self, method: &str, target: &str, body: Option<&Value>) -> Response {
        let request = Request::new(method, target);
        self.send(body.iter().fold(request, |request, body| request.json(body)))
    }
}

/// The body of an answer that must be a success.
pub fn done(response: &Response) -> String {
    assert!(
        (200..300).contains(&response.status),
        "a peer refused: {}: {}",
        response.status,
        response.text()
    );
    response.text()
}

/// The text of the first element of this name in an XML answer.
pub fn element(xml: &str, name: &str) -> String {
    let inside =
        xml.split_once(&format!("<{name}>")).and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    inside.unwrap_or_else(|| panic!("no {name} in {xml}")).0.to_owned()
}

/// A policy that allows these actions on everything.
pub fn allowing(actions: &[&str]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
    })
}

/// Creates an IAM user with this policy, and returns its key.
pub fn create_user(iam: &Service, name: &str, policy: &Value) -> Caller {
    done(&iam.query(IAM_VERSION, "CreateUser", &[("UserName", name)]));
    let document = policy.to_string();
    let fields = [("UserName", name), ("PolicyName", "acceptance"), ("PolicyDocument", &document)];
    done(&iam.query(IAM_VERSION, "PutUserPolicy", &fields));
    let key = done(&iam.query(IAM_VERSION, "CreateAccessKey", &[("UserName", name)]));
    Caller::developer(&element(&key, "AccessKeyId"), &element(&key, "SecretAccessKey"))
}

/// Creates an IAM role with this policy that `principal` may assume, and returns its ARN.
pub fn create_role(iam: &Service, name: &str, principal: &Value, policy: &Value) -> String {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole" }],
    })
    .to_string();
    let fields = [("RoleName", name), ("AssumeRolePolicyDocument", &trust)];
    let role = done(&iam.query(IAM_VERSION, "CreateRole", &fields));
    let document = policy.to_string();
    let fields = [("RoleName", name), ("PolicyName", "acceptance"), ("PolicyDocument", &document)];
    done(&iam.query(IAM_VERSION, "PutRolePolicy", &fields));
    element(&role, "Arn")
}

/// Assumes a role and returns its temporary credentials.
pub fn assume_role(sts: &Service, role: &str) -> Caller {
    let fields = [("RoleArn", role), ("RoleSessionName", "acceptance")];
    let answer = done(&sts.query("2011-06-15", "AssumeRole", &fields));
    Caller {
        access_key_id: element(&answer, "AccessKeyId"),
        secret_access_key: element(&answer, "SecretAccessKey"),
        session_token: Some(element(&answer, "SessionToken")),
    }
}

/// The text of a member of a JSON answer that must be a success.
pub fn member(response: &Response, name: &str) -> String {
    done(response);
    text(&response.json()[name])
}

const IAM_VERSION: &str = "2010-05-08";
