//! Self-hosted HTTP destinations: streams, pushes and triggers as signed POST requests.

mod client;
mod push;
mod signature;
mod status;
mod stream;
mod trigger;

pub(crate) use self::client::HttpClient;
pub(crate) use self::push::HttpPush;
pub(crate) use self::stream::HttpStream;
pub(crate) use self::trigger::HttpTrigger;
