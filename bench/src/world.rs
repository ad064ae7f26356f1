//! The population of a run: a pool, guests with real temporary credentials, their datasets, and a lane of
//! load for every client. One lane alone writes each dataset, as is usual for a user's data.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use carryall_wire::ops::identity::{
    CreateIdentityPool, GetCredentialsForIdentity, GetId, create_identity_pool,
    get_credentials_for_identity as get_credentials, get_id,
};
use carryall_wire::shapes::IdentityPool;
use carryall_wire::sigv4::Credentials;

use crate::connection::Connection;
use crate::dataset::{self, Dataset, Guest};
use crate::load::{self, Lane};
use crate::measure::Latencies;
use crate::outcome::Outcome;
use crate::payload::Chance;
use crate::server;
use crate::signing;

/// Datasets of one lane that are loaded at a time, which bounds the memory of waiting requests.
const DATASETS_LOADED_AT_A_TIME_MAX: usize = 8;
/// The number of attempts of a throttled GetId, a second apart.
const ATTEMPTS_MAX: u32 = 120;

/// The amount of data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    /// Connections, each with its own guests.
    pub(crate) lanes: usize,
    /// Guests of one lane.
    pub(crate) guests_per_lane: usize,
    /// Datasets of one guest; by default a server allows 20.
    pub(crate) datasets_per_guest: usize,
    /// Records of one dataset; by default a server allows 1,024.
    pub(crate) records_per_dataset: usize,
    /// Records that one update of the first load writes.
    pub(crate) records_per_load: usize,
}

/// The lanes and their clients' views.
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) pool: String,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) datasets: Vec<Vec<Dataset>>,
    pub(crate) chance: Chance,
}

impl World {
    /// Creates pool, guests and datasets on a server and fills the datasets.
    pub(crate) async fn populate(address: SocketAddr, population: Population) -> Outcome<Self> {
        let mut connection = Connection::open(address).await?;
        let pool = create_pool(&mut connection, address).await?;
        let mut datasets = Vec::with_capacity(population.lanes);
        for _ in 0..population.lanes {
            let mut own = Vec::with_capacity(population.guests_per_lane * population.datasets_per_guest);
            for _ in 0..population.guests_per_lane {
                let guest = Rc::new(create_guest(&mut connection, address, &pool).await?);
                for number in 0..population.datasets_per_guest {
                    let name = format!("dataset-{number}");
                    own.push(Dataset::new(Rc::clone(&guest), name, population.records_per_dataset));
                }
            }
            datasets.push(own);
        }
        let lanes = Lane::open(address, population.lanes).await?;
        let mut world = Self { address, pool, lanes, datasets, chance: Chance::new(1) };
        world.fill(population.records_per_load).await?;
        Ok(world)
    }

    async fn fill(&mut self, records_per_load: usize) -> Outcome<()> {
        let datasets = self.datasets.first().map_or(0, Vec::len);
        let records = self.datasets.first().and_then(|own| own.first()).map_or(0, Dataset::records);
        let ignored = Latencies::new()?;
        let all: Vec<usize> = (0..records).collect();
        for begin in (0..datasets).step_by(DATASETS_LOADED_AT_A_TIME_MAX) {
            let end = datasets.min(begin + DATASETS_LOADED_AT_A_TIME_MAX);
            for chosen in all.chunks(records_per_load) {
                self.fetch_tokens(self.lanes.len(), begin..end, 1, &ignored).await?;
                for (lane, own) in self.lanes.iter_mut().zip(&mut self.datasets) {
                    for dataset in &mut own[begin..end] {
                        lane.queue.push_back(dataset.update(self.address, chosen, &mut self.chance)?);
                    }
                }
                load::drain(&mut self.lanes).await?;
            }
        }
        Ok(())
    }

    /// Lists each of the datasets `which` of the first `lanes` lanes `times` times, and keeps the tokens. All
    /// updates must have been sent before.
    pub(crate) async fn fetch_tokens(
        &mut self,
        lanes: usize,
        which: std::ops::Range<usize>,
        times: usize,
        latencies: &Latencies,
    ) -> Outcome<()> {
        for (lane, own) in self.lanes.iter_mut().zip(&self.datasets).take(lanes) {
            for dataset in &own[which.clone()] {
                lane.queue.push_back(dataset.list(self.address, dataset.count())?);
            }
        }
        let found = load::collect(&mut self.lanes[..lanes], times, latencies, dataset::token).await?;
        for (own, tokens) in self.datasets.iter_mut().zip(found) {
            let own = &mut own[which.clone()];
            let count = own.len();
            for (index, token) in tokens.into_iter().enumerate() {
                own[index % count].keep(token);
            }
        }
        Ok(())
    }
}

/// Creates a pool that allows guests and returns its id.
pub(crate) async fn create_pool(connection: &mut Connection, address: SocketAddr) -> Outcome<String> {
    let input = create_identity_pool::Input {
        identity_pool_name: Some("bench".to_owned()),
        allow_unauthenticated_identities: Some(true),
        ..create_identity_pool::Input::default()
    };
    let root = server::root_key();
    let request = signing::request::<CreateIdentityPool>(address, Some(&root), &input)?;
    let pool: IdentityPool = serde_json::from_slice(connection.succeed(&request).await?)?;
    Ok(pool.identity_pool_id)
}

/// Creates a guest of the pool, with temporary credentials.
pub(crate) async fn create_guest(
    connection: &mut Connection,
    address: SocketAddr,
    pool: &str,
) -> Outcome<Guest> {
    let input = get_id::Input { identity_pool_id: Some(pool.to_owned()), ..get_id::Input::default() };
    let request = signing::request::<GetId>(address, None, &input)?;
    let identity = patiently(connection, &request).await?;
    let identity = serde_json::from_slice::<get_id::Output>(&identity)?.identity_id;

    let input =
        get_credentials::Input { identity_id: Some(identity.clone()), ..get_credentials::Input::default() };
    let request = signing::request::<GetCredentialsForIdentity>(address, None, &input)?;
    let output: get_credentials::Output = serde_json::from_slice(connection.succeed(&request).await?)?;
    let credentials = Credentials {
        access_key_id: output.credentials.access_key_id,
        secret_access_key: output.credentials.secret_key.expose().into(),
        session_token: Some(output.credentials.session_token.expose().into()),
    };
    Ok(Guest { pool: pool.to_owned(), identity, credentials })
}

/// Retries a request while the server answers that there are too many: GetId is throttled, and this is setup.
async fn patiently(connection: &mut Connection, request: &[u8]) -> Outcome<Vec<u8>> {
    for _ in 0..ATTEMPTS_MAX {
        let answer = connection.exchange(request).await?;
        let throttled = String::from_utf8_lossy(answer.body).contains("TooManyRequestsException");
        match answer.status {
            200 => return Ok(answer.body.to_vec()),
            _ if throttled => tokio::time::sleep(Duration::from_secs(1)).await,
            status => {
                return Err(
                    format!("GetId: status {status}: {}", String::from_utf8_lossy(answer.body)).into()
                );
            }
        }
    }
    Err("GetId was throttled for too long".into())
}
