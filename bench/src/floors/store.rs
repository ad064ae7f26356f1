//! E, the embedded store in process: load, decide by the program's own rules, commit. It has no HTTP, no
//! signatures and no JSON, but the same population and the same kind of update as over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carryall_core::changes::{Changes, Expect, Write};
use carryall_core::cursor::Session;
use carryall_core::ids::{
    DatasetName, Generation, IdentityId, LeaseId, PoolId, PoolIncarnation, RecordKey, SessionId, SyncCount,
};
use carryall_core::limits::{Limits, SESSION_SECONDS_MAX};
use carryall_core::model::{CognitoStreams, DatasetRef, IdentityRef, PoolRef, StreamingStatus, Writer};
use carryall_core::outbox::{LaneRef, Position, Sink};
use carryall_core::rules::effects::Effects;
use carryall_core::rules::outbox::{self, Patience};
use carryall_core::rules::patches::{Patch, Patches};
use carryall_core::rules::set_identity_pool::Settings;
use carryall_core::rules::update_records::{Decision, UpdateRecords, decide};
use carryall_core::store::{Committed, Store};
use carryall_core::time::UnixMillis;
use carryall_store::{StoreOptions, StoreUrl};
use tokio::runtime::Runtime;

use crate::clock;
use crate::dataset;
use crate::measure::{Latencies, Meter, Row};
use crate::outcome::Outcome;
use crate::payload::Chance;
use crate::process;
use crate::world::Population;

const LEASE_SECONDS: u32 = 60;
/// Events of one read of a lane, as in the relay.
const EVENTS_MAX: usize = 32;

/// An open store and its clients.
pub(crate) struct Driven {
    store: Arc<dyn Store>,
    runtime: Runtime,
    clients: Vec<Client>,
}

/// The work of an update beside its own commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// None: its pool has no stream.
    Nothing,
    /// The update leaves an event for a stream.
    Stores,
    /// The event is then removed, as by a relay without leases.
    Settles,
    /// The lane is leased before that.
    ClaimsAndSettles,
}

/// One client with its own datasets.
struct Client {
    writer: Writer,
    datasets: Vec<Known>,
    chance: Chance,
}

/// A client's view of a dataset.
struct Known {
    at: DatasetRef,
    count: u64,
    records: Vec<u64>,
}

impl Driven {
    /// Opens a store in `directory` and fills it.
    pub(crate) fn open(directory: &Path, population: Population) -> Outcome<Self> {
        let url = StoreUrl::Embedded(directory.join("store-floor"));
        Self::over(&url, population)
    }

    fn over(url: &StoreUrl, population: Population) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(process::processors())
            .enable_all()
            .build()?;
        let store = carryall_store::open(url, &StoreOptions::default())?;
        let id = PoolId::parse("us-east-1:0").map_err(|violation| violation.to_string())?;
        let pool = PoolRef { id: id.clone(), incarnation: PoolIncarnation(1) };
        let settings = Settings { name: "bench".to_owned(), allow_guests: true, ..Settings::default() };
        runtime.block_on(commit(
            &*store,
            Changes {
                expect: vec![Expect::NoPool(id)],
                write: vec![Write::PutPool(Box::new(settings.create(pool.clone(), now())))],
            },
        ))?;
        let clients: Outcome<Vec<Client>> =
            (0..population.lanes).map(|number| Client::new(&pool, number, population)).collect();
        let mut driven = Self { store, runtime, clients: clients? };
        let records = population.records_per_load;
        driven.run(population.lanes, move |mut client, store, latencies| async move {
            client.fill(&*store, records).await?;
            Ok((client, latencies))
        })?;
        Ok(driven)
    }

    /// Updates `records` random records at a time from `clients` clients until the end of the cell.
    pub(crate) fn measure(
        &mut self,
        name: &'static str,
        clients: usize,
        records: usize,
        then: Then,
        cell: Duration,
    ) -> Outcome<Row> {
        let meter = Meter::own();
        let mut row = Row::new(name, clients)?;
        let before = meter.read()?;
        let until = Instant::now() + cell;
        let latencies = self.run(clients, move |mut client, store, latencies| async move {
            while Instant::now() < until {
                let begun = Instant::now();
                client.update(&*store, records, then).await?;
                latencies.record(begun.elapsed());
            }
            Ok((client, latencies))
        })?;
        meter.add_since(&before, &mut row)?;
        row.latencies.merge(&latencies)?;
        Ok(row)
    }

    /// Runs `work` once for each of the first `clients` clients, all at once.
    fn run<F, W>(&mut self, clients: usize, work: F) -> Outcome<Latencies>
    where
        F: Fn(Client, Arc<dyn Store>, Latencies) -> W,
        W: Future<Output = Outcome<(Client, Latencies)>> + Send + 'static,
    {
        let mut running = Vec::with_capacity(clients);
        for client in self.clients.drain(..clients) {
            running.push(self.runtime.spawn(work(client, Arc::clone(&self.store), Latencies::new()?)));
        }
        let all = Latencies::new()?;
        let mut returned = Vec::with_capacity(clients);
        for task in running {
            let (client, latencies) = self.runtime.block_on(task)??;
            returned.push(client);
            all.merge(&latencies)?;
        }
        returned.append(&mut self.clients);
        self.clients = returned;
        Ok(all)
    }
}

impl Client {
    fn new(pool: &PoolRef, number: usize, population: Population) -> Outcome<Self> {
        let mut datasets = Vec::new();
        for guest in 0..population.guests_per_lane {
            let identity = IdentityId::parse(&format!("us-east-1:{number:08x}-{guest:08x}"))
                .map_err(|violation| violation.to_string())?;
            let owner = IdentityRef { pool: pool.clone(), identity };
            for dataset in 0..population.datasets_per_guest {
                let name = DatasetName::parse(&format!("dataset-{dataset}"))
                    .map_err(|violation| violation.to_string())?;
                let at = DatasetRef { owner: owner.clone(), name };
                datasets.push(Known { at, count: 0, records: vec![0; population.records_per_dataset] });
            }
        }
        let seed = u64::try_from(number)?;
        Ok(Self { writer: Writer::from(format!("device-{number}")), datasets, chance: Chance::new(seed) })
    }

    async fn fill(&mut self, store: &dyn Store, records_per_load: usize) -> Outcome<()> {
        for dataset in &mut self.datasets {
            let all: Vec<usize> = (0..dataset.records.len()).collect();
            for chosen in all.chunks(records_per_load) {
                dataset.update(store, &self.writer, chosen, Then::Nothing, &mut self.chance).await?;
            }
        }
        Ok(())
    }

    async fn update(&mut self, store: &dyn Store, records: usize, then: Then) -> Outcome<()> {
        let index = self.chance.below(self.datasets.len());
        let dataset = &mut self.datasets[index];
        let chosen = self.chance.distinct(records, dataset.records.len());
        dataset.update(store, &self.writer, &chosen, then, &mut self.chance).await?;
        match then {
            Then::Nothing | Then::Stores => Ok(()),
            Then::Settles => dataset.relay(store, None).await,
            Then::ClaimsAndSettles => dataset.relay(store, Some(LeaseId(self.chance.next()))).await,
        }
    }
}

impl Known {
    async fn update(
        &mut self,
        store: &dyn Store,
        writer: &Writer,
        chosen: &[usize],
        then: Then,
        chance: &mut Chance,
    ) -> Outcome<()> {
        let patch = |index: &usize| Patch {
            key: RecordKey::from_stored(&dataset::key(*index)),
            value: Some(chance.value()),
            sync_count: SyncCount(self.records[*index]),
            device_modified: None,
        };
        let patches = Patches::new(chosen.iter().map(patch).collect());
        let patches = patches.map_err(|violation| violation.to_string())?;
        let keys = patches.keys();
        let request = UpdateRecords {
            at: self.at.clone(),
            session: self.session(chance),
            patches,
            writer: writer.clone(),
            device: None,
        };
        let view = store.dataset(&request.at, &keys).await?;
        let effects = effects(&self.at.owner.pool, then);
        match decide(&view, now(), &request, &Limits::default(), &effects) {
            Ok(Decision::Apply { changes, .. }) => commit(store, changes).await?,
            Ok(Decision::Nothing | Decision::Load(_) | Decision::Damaged(_)) => {
                return Err("an update decided nothing".into());
            }
            Err(refusal) => return Err(format!("an update was refused: {refusal:?}").into()),
        }
        self.count += 1;
        for index in chosen {
            self.records[*index] = self.count;
        }
        Ok(())
    }

    /// Removes waiting events, as the relay does, without delivering them.
    async fn relay(&self, store: &dyn Store, lease: Option<LeaseId>) -> Outcome<()> {
        let at = LaneRef { dataset: self.at.clone(), sink: Sink::Stream };
        let lane = store.lane(&at).await?.ok_or("an event is not in its lane")?;
        let due = match lease {
            None => lane.state.due,
            Some(lease) => {
                let (claim, leased) = outbox::claim(&lane, lease, now().plus_seconds(LEASE_SECONDS));
                commit(store, claim).await?;
                leased
            }
        };
        let events = store.events(&at, EVENTS_MAX, usize::MAX).await?;
        let delivered: Vec<Position> = events.iter().map(|event| event.position).collect();
        let patience = Patience { attempts_max: 1, backoff_seconds_max: 1 };
        let (settled, _) = outbox::settle(&lane, due, &delivered, outbox::Outcome::Fine, now(), patience);
        commit(store, settled).await
    }

    fn session(&self, chance: &mut Chance) -> Session {
        Session {
            pool: self.at.owner.pool.incarnation,
            identity: self.at.owner.identity.clone(),
            dataset: self.at.name.clone(),
            generation: Generation(0),
            seen: SyncCount::ZERO,
            id: SessionId(chance.next()),
            expires: now().plus_seconds(SESSION_SECONDS_MAX),
        }
    }
}

/// The effects of a pool with or without a stream.
fn effects(at: &PoolRef, then: Then) -> Effects {
    let mut pool = Settings::default().create(at.clone(), now());
    pool.streams = (then != Then::Nothing).then(|| CognitoStreams {
        stream_name: Some("stream".to_owned()),
        status: Some(StreamingStatus::Enabled),
        ..CognitoStreams::default()
    });
    Effects::of(&pool, None)
}

fn now() -> UnixMillis {
    UnixMillis(clock::now_milliseconds())
}

/// No other process writes to this store, so a refusal is an error.
async fn commit(store: &dyn Store, changes: Changes) -> Outcome<()> {
    match store.commit(changes).await? {
        Committed::Done => Ok(()),
        Committed::Refused => Err("the store refused a commit".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_clients_know_is_what_the_store_has() {
        let population = Population {
            lanes: 3,
            guests_per_lane: 1,
            datasets_per_guest: 2,
            records_per_dataset: 20,
            records_per_load: 10,
        };
        let mut driven = Driven::over(&StoreUrl::Memory, population).unwrap();
        let latencies = driven
            .run(2, |mut client, store, latencies| async move {
                client.update(&*store, 5, Then::Nothing).await?;
                latencies.record(Duration::from_millis(1));
                Ok((client, latencies))
            })
            .unwrap();
        assert_eq!(latencies.count(), 2);
        for (then, lanes) in [(Then::Settles, 0), (Then::ClaimsAndSettles, 0), (Then::Stores, 2)] {
            driven
                .run(2, move |mut client, store, latencies| async move {
                    client.update(&*store, 1, then).await?;
                    Ok((client, latencies))
                })
                .unwrap();
            let far = UnixMillis(i64::MAX);
            let left = driven.runtime.block_on(driven.store.lanes_due(far, far, None, 9, 9)).unwrap();
            assert_eq!(left.len(), lanes, "{then:?}");
        }
        let mut counts = 0;
        for known in driven.clients.iter().flat_map(|client| &client.datasets) {
            let view = driven.runtime.block_on(driven.store.head(&known.at)).unwrap();
            assert_eq!(view.head.unwrap().sync_count.0, known.count);
            counts += known.count;
        }
        assert_eq!(counts, 3 * 2 * 2 + 2 + 3 * 2);
    }
}
