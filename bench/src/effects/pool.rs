//! The pool under test as its developer and users set it up: streams, push, devices, publications; and the
//! state of the server's outbox.

use std::net::SocketAddr;
use std::path::Path;

use carryall_wire::ops::sync::{
    BulkPublish, GetBulkPublishDetails, RegisterDevice, SetIdentityPoolConfiguration, SubscribeToDataset,
    bulk_publish, get_bulk_publish_details, register_device, set_identity_pool_configuration,
    subscribe_to_dataset,
};
use carryall_wire::shapes::{CognitoStreams, PushSync};

use super::endpoint::Endpoint;
use crate::connection::Connection;
use crate::dataset::Guest;
use crate::outcome::Outcome;
use crate::server::{self, SECRET_VARIABLE};
use crate::signing;
use crate::world::World;

const APPLICATION_ARN: &str = "arn:aws:sns:us-east-1:000000000000:app/GCM/bench";
/// Limits for a population of guests that all come from one address; creating them is not measured.
const GUESTS: &str = "[limits]
new_identities_per_source_per_second_max = 100000
new_identities_per_source_burst_max = 100000
new_identities_per_pool_per_second_max = 100000
new_identities_per_pool_burst_max = 100000";
const PUBLISHED: &str = "SUCCEEDED";
const PUBLISHING: &str = "IN_PROGRESS";

/// A stream of the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// The endpoint.
    Http,
    /// A file.
    File,
    /// A port on which nothing listens.
    Nobody,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::File => "file",
            Self::Nobody => "nobody",
        }
    }
}

/// The destinations of changes in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) stream: Option<Stream>,
    pub(crate) push: bool,
}

impl Effects {
    /// No destination.
    pub(crate) const NONE: Self = Self { stream: None, push: false };
}

/// Settings that lead the streams and the push application to `endpoint`, and one stream to the file `file`.
pub(crate) fn settings(endpoint: &Endpoint, file: &Path, outbox: &str) -> String {
    let address = endpoint.address();
    let file = file.display();
    let http = |table: &str, name: &str, url: &str| {
        format!("[[{table}]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_env = \"{SECRET_VARIABLE}\"")
    };
    let here = format!("http://{address}/");
    [
        format!("[outbox]\n{outbox}"),
        GUESTS.to_owned(),
        http("stream_destinations", Stream::Http.name(), &here),
        // Port 9 is for the discard service; where none runs, connections are refused at once.
        http("stream_destinations", Stream::Nobody.name(), "http://127.0.0.1:9/"),
        format!(
            "[[stream_destinations]]\nname = \"{}\"\nfile = \"{file}\"\nfiles_max = 1000",
            Stream::File.name()
        ),
        http("push_destinations", APPLICATION_ARN, &here),
    ]
    .join("\n")
}

/// A developer's access to one pool.
pub(crate) struct Developer {
    connection: Connection,
    address: SocketAddr,
    pool: String,
}

impl Developer {
    /// Connects to the server for the pool `pool`.
    pub(crate) async fn connect(address: SocketAddr, pool: &str) -> Outcome<Self> {
        Ok(Self { connection: Connection::open(address).await?, address, pool: pool.to_owned() })
    }

    /// Sets the destinations of changes.
    pub(crate) async fn set(&mut self, effects: Effects) -> Outcome<()> {
        let streams = effects.stream.map(|stream| CognitoStreams {
            stream_name: Some(stream.name().to_owned()),
            streaming_status: Some("ENABLED".to_owned()),
            ..CognitoStreams::default()
        });
        let push = PushSync { application_arns: Some(vec![APPLICATION_ARN.to_owned()]), role_arn: None };
        let input = set_identity_pool_configuration::Input {
            identity_pool_id: Some(self.pool.clone()),
            push_sync: Some(if effects.push { push } else { PushSync::default() }),
            cognito_streams: Some(streams.unwrap_or_default()),
        };
        let root = server::root_key();
        let request = signing::request::<SetIdentityPoolConfiguration>(self.address, Some(&root), &input)?;
        self.connection.succeed(&request).await?;
        Ok(())
    }

    /// Starts a publication of the pool.
    pub(crate) async fn publish(&mut self) -> Outcome<()> {
        let input = bulk_publish::Input { identity_pool_id: Some(self.pool.clone()) };
        let request = signing::request::<BulkPublish>(self.address, Some(&server::root_key()), &input)?;
        self.connection.succeed(&request).await?;
        Ok(())
    }

    /// True if the publication is complete.
    pub(crate) async fn is_published(&mut self) -> Outcome<bool> {
        let input = get_bulk_publish_details::Input { identity_pool_id: Some(self.pool.clone()) };
        let root = server::root_key();
        let request = signing::request::<GetBulkPublishDetails>(self.address, Some(&root), &input)?;
        let answer = self.connection.succeed(&request).await?;
        let details: get_bulk_publish_details::Output = serde_json::from_slice(answer)?;
        match details.bulk_publish_status.as_str() {
            PUBLISHED => Ok(true),
            PUBLISHING => Ok(false),
            status => {
                let why = details.failure_message.unwrap_or_default();
                Err(format!("the bulk publication is {status}: {why}").into())
            }
        }
    }

    /// The number of events in the server's outbox.
    pub(crate) async fn waiting(&mut self) -> Outcome<u64> {
        let request = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        let page = std::str::from_utf8(self.connection.succeed(request.as_bytes()).await?)?;
        let read = |name: &str| -> Outcome<u64> {
            let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            Ok(line.ok_or_else(|| format!("no {name} among the metrics"))?.trim().parse()?)
        };
        let appended = read("carryall_store_events_appended_total")?;
        Ok(appended.saturating_sub(read("carryall_store_events_removed_total")?))
    }
}

/// Registers a device for every guest and subscribes it to each of the guest's datasets. The pool must have push.
pub(crate) async fn subscribe_devices(world: &World) -> Outcome<()> {
    let mut connection = Connection::open(world.address).await?;
    let mut known: Option<(String, String)> = None;
    for dataset in world.datasets.iter().flatten() {
        let guest = dataset.guest();
        let device = match known.take() {
            Some((identity, device)) if identity == guest.identity => device,
            Some(_) | None => register(&mut connection, world.address, guest).await?,
        };
        let input = subscribe_to_dataset::Input {
            identity_pool_id: Some(guest.pool.clone()),
            identity_id: Some(guest.identity.clone()),
            dataset_name: Some(dataset.name().to_owned()),
            device_id: Some(device.clone()),
        };
        let request =
            signing::request::<SubscribeToDataset>(world.address, Some(&guest.credentials), &input)?;
        connection.succeed(&request).await?;
        known = Some((guest.identity.clone(), device));
    }
    Ok(())
}

async fn register(connection: &mut Connection, address: SocketAddr, guest: &Guest) -> Outcome<String> {
    let input = register_device::Input {
        identity_pool_id: Some(guest.pool.clone()),
        identity_id: Some(guest.identity.clone()),
        platform: Some("GCM".to_owned()),
        token: Some(format!("token-of-{}", guest.identity)),
    };
    let request = signing::request::<RegisterDevice>(address, Some(&guest.credentials), &input)?;
    let output: register_device::Output = serde_json::from_slice(connection.succeed(&request).await?)?;
    Ok(output.device_id)
}
