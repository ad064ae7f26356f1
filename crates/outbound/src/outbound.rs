//! Hands out ports: by the routes of the settings, else AWS.

use std::sync::Arc;

use crate::port::{LargeObjectPort, PushPort, StreamPort, TriggerPort};
use crate::settings::OutboundSettings;

/// Every way out of the server. Clones share connections, clients and open files.
#[derive(Clone)]
pub struct Outbound {
    settings: Arc<OutboundSettings>,
    now_unix_s: fn() -> u64,
}

#[expect(clippy::todo, unused_variables, reason = "the API comes first, so that the server can be written")]
impl Outbound {
    /// Cheap: nothing is loaded, opened or connected before it is first used, and no runtime is needed yet.
    ///
    /// `now_unix_s` is the clock, in seconds since 1970, which signed HTTP requests are dated by.
    pub fn new(settings: OutboundSettings, now_unix_s: fn() -> u64) -> Self {
        Self { settings: Arc::new(settings), now_unix_s }
    }

    /// The stream that `pool` calls `stream_name`, put to under `role_arn`, or under the server's own credentials.
    pub fn stream(&self, pool: &str, stream_name: &str, role_arn: Option<&str>) -> Arc<dyn StreamPort> {
        todo!()
    }

    /// The platform application of this ARN.
    pub fn push(&self, pool: &str, application_arn: &str, role_arn: Option<&str>) -> Arc<dyn PushPort> {
        todo!()
    }

    /// The function of this ARN or name, invoked under the server's own credentials.
    pub fn trigger(&self, pool: &str, function: &str) -> Arc<dyn TriggerPort> {
        todo!()
    }

    /// The bucket for large objects, if the settings name one.
    pub fn large_objects(&self, role_arn: Option<&str>) -> Option<Arc<dyn LargeObjectPort>> {
        todo!()
    }
}
