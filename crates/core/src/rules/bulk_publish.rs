//! BulkPublish: every dataset of a pool goes to the stream once more, in the order of (identity, name)
//! (`docs/protocol.md` section 9.3).

use crate::changes::{Changes, Expect, Stamp, Write};
use crate::ids::{DatasetName, IdentityId, Version};
use crate::limits::BULK_PUBLISH_PAUSE_SECONDS;
use crate::model::{BulkPublish, BulkPublishStatus, DatasetRef, Head, Pool, PoolRef};
use crate::outbox::{Event, EventBody, LaneRef, Position, Sink};
use crate::refusal::Refusal;
use crate::time::UnixMillis;

/// The commit that begins a publication of `pool`, whose latest one is `before`.
pub fn begin(pool: &Pool, before: Option<&BulkPublish>, now: UnixMillis) -> Result<Changes, Refusal> {
    if pool.streams.as_ref().is_none_or(|streams| streams.enabled_stream().is_none()) {
        return Err(Refusal::StreamingDisabled(pool.at.id.clone()));
    }
    if before.is_some_and(|before| before.status == BulkPublishStatus::InProgress) {
        return Err(Refusal::BulkPublishRunning(pool.at.id.clone()));
    }
    let succeeded = before.and_then(|before| before.succeeded);
    let next = succeeded.map(|succeeded| succeeded.plus_seconds(BULK_PUBLISH_PAUSE_SECONDS));
    if let Some(next) = next.filter(|next| now < *next) {
        return Err(Refusal::AlreadyStreamed { pool: pool.at.id.clone(), next });
    }
    let version = before.map_or(Version::default(), |before| before.version);
    let begun = BulkPublish {
        version: version.next(),
        status: BulkPublishStatus::InProgress,
        started: now,
        succeeded,
        cursor: None,
        datasets: 0,
    };
    Ok(Changes {
        expect: vec![
            Expect::PoolVersion(pool.at.clone(), pool.version),
            Expect::BulkPublish(pool.at.clone(), version),
        ],
        write: vec![Write::PutBulkPublish(pool.at.clone(), begun)],
    })
}

/// The commit that enters a dataset into its lane as of `head`, and where its event stands; `None` if the dataset does
/// not exist. The event must stand behind every event that already waits: so the head must still be this one.
pub fn enter(at: &DatasetRef, head: &Head, now: UnixMillis) -> Option<(Changes, LaneRef, Position)> {
    head.life.as_ref()?;
    let lane = LaneRef { dataset: at.clone(), sink: Sink::Stream };
    let position = Position::bulk(head.sync_count);
    let body = EventBody::Snapshot { generation: head.generation };
    let event = Event { lane: lane.clone(), position, at: now, body };
    let changes = Changes {
        expect: vec![Expect::Pool(at.owner.pool.clone()), Expect::Dataset(at.clone(), Some(Stamp::of(head)))],
        write: vec![Write::AppendEvent(event)],
    };
    Some((changes, lane, position))
}

/// The commit that notes how far the publication of `pool` has come, and its state then.
pub fn advance(
    pool: &PoolRef,
    before: &BulkPublish,
    cursor: (IdentityId, DatasetName),
    datasets: u64,
) -> (Changes, BulkPublish) {
    put(pool, before, BulkPublish { cursor: Some(cursor), datasets, ..before.clone() })
}

/// The commit that ends the publication of `pool`.
pub fn succeed(pool: &PoolRef, before: &BulkPublish, now: UnixMillis) -> (Changes, BulkPublish) {
    let status = BulkPublishStatus::Succeeded;
    put(pool, before, BulkPublish { status, succeeded: Some(now), ..before.clone() })
}

/// The commit that gives the publication of `pool` up.
pub fn fail(pool: &PoolRef, before: &BulkPublish, message: String) -> (Changes, BulkPublish) {
    put(pool, before, BulkPublish { status: BulkPublishStatus::Failed { message }, ..before.clone() })
}

fn put(pool: &PoolRef, before: &BulkPublish, after: BulkPublish) -> (Changes, BulkPublish) {
    let after = BulkPublish { version: before.version.next(), ..after };
    let changes = Changes {
        expect: vec![Expect::Pool(pool.clone()), Expect::BulkPublish(pool.clone(), before.version)],
        write: vec![Write::PutBulkPublish(pool.clone(), after.clone())],
    };
    (changes, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SyncCount;
    use crate::model::{Floor, Life, Writer};
    use crate::rules::samples;

    fn begun(changes: Changes) -> BulkPublish {
        match changes.write.into_iter().next() {
            Some(Write::PutBulkPublish(_, bulk)) => bulk,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_runs_at_a_time_and_one_succeeds_a_day() {
        let pool = samples::streaming(samples::pool());
        let id = pool.at.id.clone();
        let first = begun(begin(&pool, None, UnixMillis(0)).unwrap());
        assert_eq!(begin(&pool, Some(&first), UnixMillis(1)), Err(Refusal::BulkPublishRunning(id.clone())));
        let (_, done) = succeed(&pool.at, &first, UnixMillis(5_000));
        let next = UnixMillis(86_405_000);
        let refused = Err(Refusal::AlreadyStreamed { pool: id.clone(), next });
        assert_eq!(begin(&pool, Some(&done), UnixMillis(next.0 - 1)), refused);
        let second = begun(begin(&pool, Some(&done), next).unwrap());
        let (_, failed) = fail(&pool.at, &second, "the stream is gone".to_owned());
        assert!(begin(&pool, Some(&failed), next).is_ok(), "a failure may be followed at once");
        assert_eq!(begin(&samples::pool(), None, next), Err(Refusal::StreamingDisabled(id)));
    }

    #[test]
    fn a_dataset_is_entered_as_of_its_count_and_a_deleted_one_is_not() {
        let life = Life {
            created: UnixMillis(1),
            modified: UnixMillis(1),
            modified_by: Writer::from("d"),
            records: 1,
            tombstones: 0,
            tombstone_key_bytes: Some(0),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: 1,
        };
        let deleted = Floor { sync_count: SyncCount(7), ..Floor::default() }.head();
        assert_eq!(enter(&samples::dataset(), &deleted, UnixMillis(1)), None);
        let head = Head { life: Some(life), ..deleted };
        let (changes, lane, position) = enter(&samples::dataset(), &head, UnixMillis(1)).unwrap();
        assert_eq!(position, Position::bulk(SyncCount(7)));
        assert!(changes.expect.contains(&Expect::Dataset(samples::dataset(), Some(Stamp::of(&head)))));
        assert!(matches!(&changes.write[..], [Write::AppendEvent(event)] if event.lane == lane));
    }
}
