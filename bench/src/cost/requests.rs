//! The kinds of requests to count, each as a batch of signed bytes with the expected status.

use carryall_wire::ops::identity::{
    GetCredentialsForIdentity, GetId, get_credentials_for_identity as get_credentials, get_id,
};

use crate::measure::Latencies;
use crate::outcome::Outcome;
use crate::signing;
use crate::world::World;

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ListNothing,
    ListChanged,
    ListForToken,
    UpdateOne,
    UpdateTen,
    UpdateConflict,
    DescribeDataset,
    GetId,
    GetCredentials,
}

/// All kinds, in the order in which they are sent and reported. Listings precede updates, so that the changes
/// since a count are known exactly.
pub(super) const KINDS: [Kind; 9] = [
    Kind::ListNothing,
    Kind::ListChanged,
    Kind::UpdateOne,
    Kind::UpdateTen,
    Kind::ListForToken,
    Kind::UpdateConflict,
    Kind::DescribeDataset,
    Kind::GetId,
    Kind::GetCredentials,
];

/// Requests of one kind and the expected status of their answers.
pub(super) struct Batch {
    pub(super) requests: Vec<Vec<u8>>,
    status: u16,
}

impl Kind {
    /// The row's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ListNothing => "ListRecords, nothing new",
            Self::ListChanged => "ListRecords, 50 changed",
            Self::ListForToken => "ListRecords, for a token, after updates",
            Self::UpdateOne => "UpdateRecords, 1 record",
            Self::UpdateTen => "UpdateRecords, 10 records",
            Self::UpdateConflict => "UpdateRecords, refused by a conflict",
            Self::DescribeDataset => "DescribeDataset",
            Self::GetId => "GetId",
            Self::GetCredentials => "GetCredentialsForIdentity",
        }
    }

    /// Creates and signs `count` requests. Requests of one batch must be sent in order, each once.
    pub(super) async fn prepare(self, world: &mut World, count: usize) -> Outcome<Batch> {
        if matches!(self, Self::UpdateOne | Self::UpdateTen | Self::UpdateConflict) {
            world.fetch_tokens(1, 0..1, count, &Latencies::new()?).await?;
        }
        let address = world.address;
        let dataset = &world.datasets[0][0];
        let requests = match self {
            Self::UpdateOne => updates(world, 1, count)?,
            Self::UpdateTen => updates(world, 10, count)?,
            Self::UpdateConflict => stale_updates(world, count)?,
            Self::ListNothing | Self::ListForToken => {
                vec![dataset.list(address, dataset.count())?; count]
            }
            Self::ListChanged => vec![dataset.list(address, dataset.count_before(50))?; count],
            Self::DescribeDataset => vec![dataset.describe(address)?; count],
            Self::GetId => {
                let pool = Some(world.pool.clone());
                let input = get_id::Input { identity_pool_id: pool, ..get_id::Input::default() };
                vec![signing::request::<GetId>(address, None, &input)?; count]
            }
            Self::GetCredentials => {
                let identity_id = Some(dataset.guest().identity.clone());
                let input = get_credentials::Input { identity_id, ..get_credentials::Input::default() };
                vec![signing::request::<GetCredentialsForIdentity>(address, None, &input)?; count]
            }
        };
        let status = if self == Self::UpdateConflict { 409 } else { 200 };
        Ok(Batch { requests, status })
    }
}

fn updates(world: &mut World, records: usize, count: usize) -> Outcome<Vec<Vec<u8>>> {
    let World { address, chance, datasets, .. } = world;
    let dataset = &mut datasets[0][0];
    let update = |_| {
        let chosen = chance.distinct(records, dataset.records());
        dataset.update(*address, &chosen, chance)
    };
    (0..count).map(update).collect()
}

fn stale_updates(world: &mut World, count: usize) -> Outcome<Vec<Vec<u8>>> {
    let World { address, chance, datasets, .. } = world;
    let dataset = &mut datasets[0][0];
    (0..count).map(|_| dataset.stale_update(*address, chance.below(dataset.records()), chance)).collect()
}

impl Batch {
    /// Sends some of its requests, one after the other, over one connection.
    pub(super) async fn send(&self, world: &mut World, requests: &[Vec<u8>]) -> Outcome<()> {
        let connection = &mut world.lanes[0].connection;
        for request in requests {
            let answer = connection.exchange(request).await?;
            if answer.status != self.status {
                let text = String::from_utf8_lossy(answer.body);
                return Err(format!("status {} instead of {}: {text}", answer.status, self.status).into());
            }
        }
        Ok(())
    }
}
