//! The choice of ports: by the routes of the settings, else AWS.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::aws::{Aws, KinesisStream, LambdaTrigger, S3Objects, SnsPush};
use crate::file::{FileStream, FileWriter};
use crate::http::{HttpClient, HttpPush, HttpStream, HttpTrigger};
use crate::port::{LargeObjectPort, PushPort, StreamPort, TriggerPort};
use crate::settings::{HttpDestination, OutboundSettings, Route, StreamDestination};

/// All outgoing calls of the server. Clones share connections, clients and open files.
#[derive(Clone)]
pub struct Outbound {
    shared: Arc<Shared>,
}

struct Shared {
    settings: OutboundSettings,
    /// The settings' streams; each file has one writer.
    streams: Vec<Route<LocalStream>>,
    aws: Arc<Aws>,
    http: Arc<HttpClient>,
}

/// A stream's destination, ready for use.
enum LocalStream {
    Http(HttpDestination),
    File(Arc<FileWriter>),
}

impl Outbound {
    /// Creates the ports' shared state. This is cheap: nothing is loaded, opened or connected before its
    /// first use, and no async runtime is needed yet.
    ///
    /// `unix_seconds` is the clock, in seconds since 1970, for the timestamps of signed HTTP requests.
    pub fn new(settings: OutboundSettings, unix_seconds: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let aws = Arc::new(Aws::new(settings.region.clone()));
        let http = Arc::new(HttpClient::new(Box::new(unix_seconds)));
        let streams = local_streams(&settings.streams);
        Self { shared: Arc::new(Shared { settings, streams, aws, http }) }
    }

    /// The stream that `pool` calls `stream_name`, under `role_arn` or under the server's own credentials.
    pub fn stream(&self, pool: &str, stream_name: &str, role_arn: Option<&str>) -> Arc<dyn StreamPort> {
        let Shared { streams, aws, http, .. } = &*self.shared;
        match route(streams, pool, stream_name) {
            None => Arc::new(KinesisStream::new(Arc::clone(aws), stream_name, role_arn)),
            Some(LocalStream::Http(destination)) => {
                Arc::new(HttpStream::new(Arc::clone(http), destination.clone()))
            }
            Some(LocalStream::File(writer)) => Arc::new(FileStream(Arc::clone(writer))),
        }
    }

    /// The platform application with this ARN, under `role_arn` or under the server's own credentials.
    pub fn push(&self, pool: &str, application_arn: &str, role_arn: Option<&str>) -> Arc<dyn PushPort> {
        let Shared { settings, aws, http, .. } = &*self.shared;
        match route(&settings.pushes, pool, application_arn) {
            None => Arc::new(SnsPush::new(Arc::clone(aws), application_arn, role_arn)),
            Some(destination) => {
                Arc::new(HttpPush::new(Arc::clone(http), destination.clone(), application_arn))
            }
        }
    }

    /// The function with this ARN or name, under the server's own credentials.
    pub fn trigger(&self, pool: &str, function: &str) -> Arc<dyn TriggerPort> {
        let Shared { settings, aws, http, .. } = &*self.shared;
        match route(&settings.triggers, pool, function) {
            None => Arc::new(LambdaTrigger::new(Arc::clone(aws), function)),
            Some(destination) => Arc::new(HttpTrigger::new(Arc::clone(http), destination.clone())),
        }
    }

    /// The destination of this function's calls, as a text that is the same for all pools that share it.
    pub fn trigger_place(&self, pool: &str, function: &str) -> String {
        match route(&self.shared.settings.triggers, pool, function) {
            None => function.to_owned(),
            Some(destination) => destination.url.to_string(),
        }
    }

    /// The bucket for large objects, if the settings have one.
    pub fn large_objects(&self, role_arn: Option<&str>) -> Option<Arc<dyn LargeObjectPort>> {
        let Shared { settings, aws, .. } = &*self.shared;
        let settings = settings.large_objects.clone()?;
        Some(Arc::new(S3Objects::new(Arc::clone(aws), settings, role_arn)))
    }
}

/// Creates one writer for each path. The first route with a path determines the size of its files.
fn local_streams(routes: &[Route<StreamDestination>]) -> Vec<Route<LocalStream>> {
    let mut writers: HashMap<&Path, Arc<FileWriter>> = HashMap::new();
    let mut streams = Vec::with_capacity(routes.len());
    for Route { pool, name, destination } in routes {
        let destination = match destination {
            StreamDestination::Http(destination) => LocalStream::Http(destination.clone()),
            StreamDestination::File(file) => {
                let writer =
                    writers.entry(&file.path).or_insert_with(|| Arc::new(FileWriter::new(file.clone())));
                LocalStream::File(Arc::clone(writer))
            }
        };
        streams.push(Route { pool: pool.clone(), name: name.clone(), destination });
    }
    streams
}

fn route<'a, D>(routes: &'a [Route<D>], pool: &str, name: &str) -> Option<&'a D> {
    routes.iter().find(|route| route.takes(pool, name)).map(|route| &route.destination)
}
