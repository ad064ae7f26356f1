//! A pool that streams: streaming switched on and off, bulk publication, and settings read as raw JSON, since
//! the models of the SDKs lack `DisabledReason`.

use serde_json::{Value, json};

use crate::api::{Api, Guest, encoded, succeeded};
use crate::caller::Caller;
use crate::http::Response;
use crate::peers::until;
use crate::server::{Server, ServerSettings};

/// The settings of a server whose streams are at the Kinesis with this base URL.
pub fn streaming_to(kinesis: &str) -> ServerSettings {
    let caller = Caller::developer("AKIAOUTBOUND00000000", "outbound");
    ServerSettings::default().acting_as(&caller).endpoint_of("KINESIS", kinesis)
}

/// A pool with a stream of this name, without a role.
#[derive(Clone, Debug)]
pub struct StreamingPool {
    /// The pool's id.
    pub id: String,
    api: Api,
    root: Caller,
    stream: String,
}

impl StreamingPool {
    /// Creates a pool that allows guests, with streaming switched on.
    pub fn create(server: &Server, stream: &str) -> Self {
        let pool = Self::existing(server, &server.api().new_pool(&server.root()), stream);
        pool.switch("ENABLED");
        pool
    }

    /// An existing pool, whose settings stay unchanged.
    pub fn existing(server: &Server, id: &str, stream: &str) -> Self {
        Self { id: id.to_owned(), api: server.api(), root: server.root(), stream: stream.to_owned() }
    }

    /// A guest of the pool.
    pub fn guest(&self) -> Guest {
        self.api.new_guest(&self.id)
    }

    /// Sets the stream with this `StreamingStatus`.
    pub fn switch(&self, status: &str) {
        let streams = json!({ "StreamName": self.stream, "StreamingStatus": status });
        succeeded(&self.call("POST", "/configuration", Some(&json!({ "CognitoStreams": streams }))));
    }

    /// `CognitoStreams` of the pool's configuration.
    pub fn streams(&self) -> Value {
        succeeded(&self.call("GET", "/configuration", None))["CognitoStreams"].take()
    }

    /// Waits until the server has disabled streaming, and returns the `DisabledReason`.
    pub fn wait_until_disabled(&self) -> String {
        until("streaming is switched off", || {
            let streams = self.streams();
            (streams["StreamingStatus"] == "DISABLED").then(|| crate::api::text(&streams["DisabledReason"]))
        })
    }

    /// Calls `BulkPublish` and returns any answer.
    pub fn bulk_publish(&self) -> Response {
        self.call("POST", "/bulkpublish", None)
    }

    /// Calls `GetBulkPublishDetails` and returns any answer.
    pub fn bulk_publish_details(&self) -> Response {
        self.call("POST", "/getBulkPublishDetails", None)
    }

    /// Waits until the latest bulk publication has this status, and returns its details.
    pub fn wait_for_bulk_publish(&self, status: &str) -> Value {
        until(&format!("the bulk publication is {status}"), || {
            let details = succeeded(&self.bulk_publish_details());
            (details["BulkPublishStatus"] == status).then_some(details)
        })
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let target = format!("/identitypools/{}{path}", encoded(&self.id));
        self.api.sync(Some(&self.root), method, &target, body)
    }
}
