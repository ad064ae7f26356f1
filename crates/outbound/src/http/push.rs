//! Pushes as HTTP requests, for operators with their own push gateway. Each push is one POST:
//!
//! ```json
//! {"deviceId": "…", "platform": "GCM", "applicationArn": "…", "token": "…", "message": {"source": "cognito-sync",
//!  "identityPoolId": "…", "identityId": "…", "datasetName": "…", "syncCount": "7"}}
//! ```
//!
//! The answer 410 means that this device is gone. It gets no further pushes until it registers again.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::client::{Answer, HttpClient, Post};
use super::signature::hex;
use super::status::outcome;
use super::stream::{ATTEMPT_MILLISECONDS_MAX, IGNORED_ANSWER_BYTES_MAX, reachable};
use crate::port::{Checked, Device, Outcome, PushMessage, PushPort, PushUndelivered};
use crate::push_json;
use crate::settings::HttpDestination;

/// A self-hosted push gateway.
pub(crate) struct HttpPush {
    client: Arc<HttpClient>,
    destination: HttpDestination,
    application_arn: String,
}

impl HttpPush {
    pub(crate) fn new(client: Arc<HttpClient>, destination: HttpDestination, application_arn: &str) -> Self {
        Self { client, destination, application_arn: application_arn.to_owned() }
    }

    fn body(&self, device: &Device, message: &PushMessage) -> String {
        json!({
            "deviceId": device.device_id,
            "platform": device.platform.name(),
            "applicationArn": self.application_arn,
            "token": device.token.expose_secret(),
            "message": push_json::data(message),
        })
        .to_string()
    }
}

impl PushPort for HttpPush {
    /// Makes no call: the gateway learns of a device with its first push. The endpoint's name is a digest of
    /// the token, so it is the same for the same token and does not reveal it.
    fn register(&self, token: &SecretString) -> Outcome<'_, String> {
        let digest = digest::digest(&digest::SHA256, token.expose_secret().as_bytes());
        let endpoint = format!("{}/endpoint/{}", self.application_arn, hex(&digest.as_ref()[..16]));
        Box::pin(std::future::ready(Ok(endpoint)))
    }

    fn publish(&self, device: &Device, message: &PushMessage) -> Outcome<'_, (), PushUndelivered> {
        let json = self.body(device, message).into();
        let event_id = message.event_id.clone();
        Box::pin(async move {
            let post = Post {
                event_id: &event_id,
                json,
                answer_bytes_max: IGNORED_ANSWER_BYTES_MAX,
                answer_memory: None,
                time_max: Duration::from_millis(ATTEMPT_MILLISECONDS_MAX),
            };
            let exchanged = self.client.post(&self.destination, post).await;
            let origin = self.destination.origin();
            if let Ok(Answer { status: status @ StatusCode::GONE, .. }) = &exchanged {
                return Err(PushUndelivered::EndpointDead { cause: format!("{origin} answered {status}") });
            }
            Ok(outcome(&origin, exchanged)?)
        })
    }

    fn check(&self) -> Checked<'_> {
        Box::pin(reachable(&self.client, &self.destination))
    }
}
