//! moto as SNS, S3, IAM and STS. It keeps published messages, and can verify signatures with botocore as the
//! referee. It is not used for Lambda, because a function would remove the page from which messages are read.

use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::json;

use super::aws::{self, Service, done, element};
use super::bucket::Bucket;
use super::process::Process;
use super::until;
use crate::api::Api;
use crate::caller::Caller;
use crate::child::python;
use crate::http::Request;

const SNS_VERSION: &str = "2010-03-31";

/// An endpoint of a platform application in moto.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Endpoint {
    /// Its ARN.
    pub arn: String,
    /// The device's token.
    pub token: String,
    /// The `CustomUserData` that it was created with, if any.
    pub custom_user_data: Option<String>,
    /// True if messages may be published to it.
    pub enabled: bool,
    /// The published messages, oldest first, each as the text of `Message`.
    #[serde(deserialize_with = "values_in_order")]
    pub messages: Vec<String>,
}

/// A running moto.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    owner: Caller,
}

impl Moto {
    /// The account of moto's resources.
    pub const ACCOUNT: &str = "123456789012";

    /// Starts a moto for one test.
    pub fn start() -> Self {
        let process = Process::python(&python(), &["moto.server", "-H", "127.0.0.1", "-p", "0"], &[]);
        let process = process.unwrap_or_else(|trouble| panic!("{trouble}"));
        let anybody = Caller::developer("AKIAANYBODY000000000", "anything");
        let iam = Service { peer: process.address(), caller: &anybody, name: "iam" };
        let owner = aws::create_user(&iam, "harness", &aws::allowing(&["*"]));
        Self { process, owner }
    }

    /// The moto that the tests of one run share. It does not verify signatures.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Moto> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The address of moto.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// The base URL of moto.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A key that may do everything, even while signatures are verified.
    pub fn owner(&self) -> &Caller {
        &self.owner
    }

    /// One of moto's services, called by its owner.
    pub fn service<'a>(&'a self, name: &'a str) -> Service<'a> {
        Service { peer: self.address(), caller: &self.owner, name }
    }

    /// Verifies signatures and policies from now on, or no longer. Not for the shared moto. While it
    /// verifies, a space in a request of the query protocol fails the signature unless the client wrote it as
    /// a plus, because moto verifies the form as it would have written it itself.
    pub fn verify_callers(&self, on: bool) {
        let unchecked_requests = if on { "0" } else { "inf" };
        let request = Request::new("POST", "/moto-api/reset-auth").body(unchecked_requests);
        done(&Api::at(self.address()).send(&request));
    }

    /// Creates an IAM user that may do these actions, such as `sns:Publish`, and returns its key.
    pub fn create_user(&self, name: &str, actions: &[&str]) -> Caller {
        aws::create_user(&self.service("iam"), name, &aws::allowing(actions))
    }

    /// Creates a role that anybody may assume and that may do these actions, and returns its ARN.
    pub fn create_role(&self, name: &str, actions: &[&str]) -> String {
        aws::create_role(&self.service("iam"), name, &json!({ "AWS": "*" }), &aws::allowing(actions))
    }

    /// Creates a platform application of a platform, such as `GCM`, and returns its ARN.
    pub fn create_application(&self, platform: &str, name: &str) -> String {
        let fields = [
            ("Platform", platform),
            ("Name", name),
            ("Attributes.entry.1.key", "PlatformCredential"),
            ("Attributes.entry.1.value", "acceptance"),
        ];
        let answer = self.service("sns").query(SNS_VERSION, "CreatePlatformApplication", &fields);
        element(&done(&answer), "PlatformApplicationArn")
    }

    /// Deletes a platform application with its endpoints.
    pub fn delete_application(&self, application: &str) {
        let fields = [("PlatformApplicationArn", application)];
        done(&self.service("sns").query(SNS_VERSION, "DeletePlatformApplication", &fields));
    }

    /// Creates an endpoint and returns its ARN.
    pub fn create_endpoint(&self, application: &str, token: &str) -> String {
        let fields = [("PlatformApplicationArn", application), ("Token", token)];
        let answer = self.service("sns").query(SNS_VERSION, "CreatePlatformEndpoint", &fields);
        element(&done(&answer), "EndpointArn")
    }

    /// Disables an endpoint, as SNS does when a push service reports that the token is no longer valid.
    pub fn disable_endpoint(&self, endpoint: &str) {
        let fields = [
            ("EndpointArn", endpoint),
            ("Attributes.entry.1.key", "Enabled"),
            ("Attributes.entry.1.value", "false"),
        ];
        done(&self.service("sns").query(SNS_VERSION, "SetEndpointAttributes", &fields));
    }

    /// Deletes an endpoint.
    pub fn delete_endpoint(&self, endpoint: &str) {
        let fields = [("EndpointArn", endpoint)];
        done(&self.service("sns").query(SNS_VERSION, "DeleteEndpoint", &fields));
    }

    /// The endpoints of a platform application, oldest first, with their messages.
    pub fn endpoints(&self, application: &str) -> Vec<Endpoint> {
        let fields = [("PlatformApplicationArn", application)];
        let listed = self.service("sns").query(SNS_VERSION, "ListEndpointsByPlatformApplication", &fields);
        let listed = done(&listed);
        // The page also has deleted endpoints.
        self.page_of_endpoints().into_iter().filter(|endpoint| listed.contains(&endpoint.arn)).collect()
    }

    /// All messages that were ever published to an endpoint, oldest first, even if it is deleted by now.
    pub fn messages(&self, endpoint: &str) -> Vec<String> {
        let mut endpoints = self.page_of_endpoints();
        endpoints.retain(|one| one.arn == endpoint);
        endpoints.pop().map(|one| one.messages).unwrap_or_default()
    }

    fn page_of_endpoints(&self) -> Vec<Endpoint> {
        let page = Api::at(self.address()).send(&Request::new("GET", "/moto-api/data.json"));
        let page: Page = serde_json::from_str(&done(&page)).expect("the page of everything");
        page.sns.endpoints
    }

    /// Waits until a platform application has this many endpoints.
    pub fn wait_for_endpoints(&self, application: &str, count: usize) -> Vec<Endpoint> {
        until(&format!("{count} endpoints of {application}"), || {
            Some(self.endpoints(application)).filter(|endpoints| endpoints.len() >= count)
        })
    }

    /// Waits until this many messages were published to an endpoint, and returns all of them.
    pub fn wait_for_messages(&self, endpoint: &str, count: usize) -> Vec<String> {
        until(&format!("{count} messages at {endpoint}"), || {
            Some(self.messages(endpoint)).filter(|messages| messages.len() >= count)
        })
    }

    /// A bucket, which need not exist yet. Presigned URLs prove nothing here: moto accepts them with a wrong
    /// signature, and after their expiry.
    pub fn bucket<'a>(&'a self, name: &'a str) -> Bucket<'a> {
        Bucket { s3: self.service("s3"), name }
    }
}

/// The part of moto's status page that is read here.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    sns: SnsPage,
}

#[derive(Default, Deserialize)]
struct SnsPage {
    #[serde(default, rename = "PlatformEndpoint")]
    endpoints: Vec<Endpoint>,
}

/// The values of a JSON object in textual order, which a map would lose.
fn values_in_order<'de, D: Deserializer<'de>>(object: D) -> Result<Vec<String>, D::Error> {
    struct Values;
    impl<'de> Visitor<'de> for Values {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("an object of texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Vec<String>, A::Error> {
            let mut values = Vec::new();
            while let Some((_, value)) = members.next_entry::<IgnoredAny, String>()? {
                values.push(value);
            }
            Ok(values)
        }
    }
    object.deserialize_map(Values)
}
