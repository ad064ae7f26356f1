//! BulkPublish: sends every dataset of a pool to the stream once more, in the order of (identity, name)
//! (`docs/protocol.md` section 9.3).
//!
//! A publication is work in a separate lane: the relay claims the lane, enters a page of datasets into the
//! lanes of their stream, and replaces the page by the next one once they have left.

use crate::changes::{Changes, Expect, Stamp, Write};
use crate::ids::{SyncCount, Version};
use crate::limits::BULK_PUBLISH_PAUSE_SECONDS;
use crate::model::{BulkPublish, BulkPublishStatus, DatasetRef, Head, Pool, PoolRef};
use crate::outbox::{Entered, Event, EventBody, Lane, LaneRef, LaneState, Page, Position, Sink};
use crate::refusal::Refusal;
use crate::time::UnixMillis;

/// The commit that begins a publication of `pool`, whose latest one is `before`. `first` is the first dataset
/// of the pool; without one there is nothing to publish and the publication succeeds at once.
pub fn begin(
    pool: &Pool,
    before: Option<&BulkPublish>,
    first: Option<DatasetRef>,
    now: UnixMillis,
) -> Result<Changes, Refusal> {
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
        datasets: 0,
    };
    let expect = vec![
        Expect::PoolVersion(pool.at.clone(), pool.version),
        Expect::BulkPublish(pool.at.clone(), version),
    ];
    let Some(dataset) = first else {
        let done = BulkPublish { status: BulkPublishStatus::Succeeded, succeeded: Some(now), ..begun };
        return Ok(Changes { expect, write: vec![Write::PutBulkPublish(pool.at.clone(), done)] });
    };
    let lane = LaneRef { dataset, sink: Sink::Publication };
    let (position, body) = (Position::bulk(SyncCount::ZERO), EventBody::Page(Page::default()));
    let page = Event { lane, position, at: now, body };
    let write = vec![Write::PutBulkPublish(pool.at.clone(), begun), Write::AppendEvent(page)];
    Ok(Changes { expect, write })
}

/// The commit that enters a dataset into its lane as of `head`, and the entry; `None` if the dataset does not
/// exist. The event must stand behind every waiting event, so the head must be unchanged.
pub fn enter(at: &DatasetRef, head: &Head, now: UnixMillis) -> Option<(Changes, Entered)> {
    head.life.as_ref()?;
    let entered =
        Entered { identity: at.owner.identity.clone(), name: at.name.clone(), sync_count: head.sync_count };
    let body = EventBody::Snapshot { generation: head.generation };
    let event = Event { lane: entered.lane(&at.owner.pool), position: entered.position(), at: now, body };
    let changes = Changes {
        expect: vec![Expect::Pool(at.owner.pool.clone()), Expect::Dataset(at.clone(), Some(Stamp::of(head)))],
        write: vec![Write::AppendEvent(event)],
    };
    Some((changes, entered))
}

/// The commit that replaces `page`, whose datasets have all left, by the page `next`, and ends the lease of
/// `lane`.
pub fn turn_page(lane: &Lane, before: &BulkPublish, page: &Page, next: Page, now: UnixMillis) -> Changes {
    let position = Position::bulk(lane.first.sync_count.next());
    let datasets = before.datasets + page.entered.len() as u64;
    let mut changes = without_page(lane, before, BulkPublish { datasets, ..before.clone() });
    let event = Event { lane: lane.at.clone(), position, at: now, body: EventBody::Page(next) };
    changes.write.insert(1, Write::AppendEvent(event));
    changes.write.push(Write::SetLane {
        at: lane.at.clone(),
        seen_first: lane.first,
        first: position,
        state: LaneState::due(now),
    });
    changes
}

/// The commit that ends the publication with `page`, whose datasets have all left.
pub fn succeed(lane: &Lane, before: &BulkPublish, page: &Page, now: UnixMillis) -> Changes {
    let datasets = before.datasets + page.entered.len() as u64;
    let status = BulkPublishStatus::Succeeded;
    without_page(lane, before, BulkPublish { status, succeeded: Some(now), datasets, ..before.clone() })
}

/// The commit that fails the publication.
pub fn fail(lane: &Lane, before: &BulkPublish, message: String) -> Changes {
    without_page(
        lane,
        before,
        BulkPublish { status: BulkPublishStatus::Failed { message }, ..before.clone() },
    )
}

/// The commit that removes the page from `lane`, if its due state is unchanged, and leaves the publication as
/// `after`.
fn without_page(lane: &Lane, before: &BulkPublish, after: BulkPublish) -> Changes {
    let pool: &PoolRef = &lane.at.dataset.owner.pool;
    let after = BulkPublish { version: before.version.next(), ..after };
    Changes {
        expect: vec![
            Expect::Lane(lane.at.clone(), lane.state.due),
            Expect::BulkPublish(pool.clone(), before.version),
        ],
        write: vec![
            Write::RemoveEvents(lane.at.clone(), vec![lane.first]),
            Write::PutBulkPublish(pool.clone(), after),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::LeaseId;
    use crate::model::{Floor, Life, Writer};
    use crate::outbox::Due;
    use crate::rules::samples;

    fn published(changes: &Changes) -> BulkPublish {
        let put = |write: &Write| match write {
            Write::PutBulkPublish(_, bulk) => Some(bulk.clone()),
            _ => None,
        };
        changes.write.iter().find_map(put).unwrap()
    }

    /// The lane of a publication at page `number`, under a lease.
    fn lane(number: u64) -> Lane {
        let due = Due::Leased { until: UnixMillis(77), lease: LeaseId(9) };
        let at = LaneRef { dataset: samples::dataset(), sink: Sink::Publication };
        let state = LaneState { due, ..LaneState::due(UnixMillis(0)) };
        Lane { at, events: 1, first: Position::bulk(SyncCount(number)), state }
    }

    fn page(entered: usize) -> Page {
        let (identity, name) = (samples::owner().identity, samples::dataset().name);
        let one = Entered { identity: identity.clone(), name: name.clone(), sync_count: SyncCount(7) };
        Page { through: Some((identity, name)), entered: vec![one; entered] }
    }

    #[test]
    fn one_runs_at_a_time_and_one_succeeds_a_day() {
        let pool = samples::streaming(samples::pool());
        let id = pool.at.id.clone();
        let begin = |before: Option<&BulkPublish>, now| begin(&pool, before, Some(samples::dataset()), now);
        let first = published(&begin(None, UnixMillis(0)).unwrap());
        assert_eq!(begin(Some(&first), UnixMillis(1)), Err(Refusal::BulkPublishRunning(id.clone())));
        let done = published(&succeed(&lane(3), &first, &page(2), UnixMillis(5_000)));
        assert_eq!((&done.status, done.datasets), (&BulkPublishStatus::Succeeded, 2));
        let next = UnixMillis(86_405_000);
        let refused = Err(Refusal::AlreadyStreamed { pool: id.clone(), next });
        assert_eq!(begin(Some(&done), UnixMillis(next.0 - 1)), refused);
        let second = published(&begin(Some(&done), next).unwrap());
        let failed = published(&fail(&lane(3), &second, "the stream is gone".to_owned()));
        assert!(begin(Some(&failed), next).is_ok(), "a failure may be followed at once");
        let plain = super::begin(&samples::pool(), None, Some(samples::dataset()), next);
        assert_eq!(plain, Err(Refusal::StreamingDisabled(id)));
    }

    #[test]
    fn a_pool_without_datasets_is_published_at_once() {
        let pool = samples::streaming(samples::pool());
        let changes = begin(&pool, None, None, UnixMillis(5)).unwrap();
        assert_eq!(changes.write.len(), 1, "there is no lane to work on");
        let done = published(&changes);
        assert_eq!((done.status, done.succeeded), (BulkPublishStatus::Succeeded, Some(UnixMillis(5))));
    }

    #[test]
    fn the_next_page_takes_the_place_of_the_last_in_the_commit_that_ends_the_lease() {
        let pool = samples::streaming(samples::pool());
        let first = Some(samples::dataset());
        let begun = published(&begin(&pool, None, first, UnixMillis(0)).unwrap());
        let (held, next) = (lane(3), Position::bulk(SyncCount(4)));
        let changes = turn_page(&held, &begun, &page(2), page(1), UnixMillis(9));
        assert_eq!(changes.expect[0], Expect::Lane(held.at.clone(), held.state.due));
        assert_eq!(published(&changes).datasets, 2, "those of the page that has left");
        let body = EventBody::Page(page(1));
        let event = Event { lane: held.at.clone(), position: next, at: UnixMillis(9), body };
        assert!(changes.write.contains(&Write::AppendEvent(event)));
        assert!(changes.write.contains(&Write::RemoveEvents(held.at.clone(), vec![held.first])));
        let state = LaneState::due(UnixMillis(9));
        let set = Write::SetLane { at: held.at, seen_first: held.first, first: next, state };
        assert_eq!(changes.write.last(), Some(&set));
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
        let (changes, entered) = enter(&samples::dataset(), &head, UnixMillis(1)).unwrap();
        assert_eq!(entered.position(), Position::bulk(SyncCount(7)));
        assert!(changes.expect.contains(&Expect::Dataset(samples::dataset(), Some(Stamp::of(&head)))));
        let lane = LaneRef { dataset: samples::dataset(), sink: Sink::Stream };
        assert!(matches!(&changes.write[..], [Write::AppendEvent(event)] if event.lane == lane));
    }
}
