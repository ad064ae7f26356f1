//! ListRecords: the answer about a dataset, and the records that a client still lacks (`docs/protocol.md`
//! sections 7.2 and 7.3).

use crate::cursor::{RecordsPage, Session};
use crate::ids::{Generation, SyncCount};
use crate::limits::RECORDS_PER_PAGE_MAX;
use crate::model::{DatasetRef, Head, Record};
use crate::refusal::{Refusal, TokenTrouble};
use crate::store::{ListingRange, RecordCursor};
use crate::time::UnixMillis;

/// The decision on one page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// True if the dataset exists.
    pub exists: bool,
    /// True if the dataset was deleted after the count that the client named.
    pub deleted_after: bool,
    /// The count that every page of the listing reports.
    pub dataset_sync_count: SyncCount,
    /// The generation of the session that the listing begins.
    pub generation: Generation,
    /// True if a tombstone was forgotten above the count that the client named, so that the client may keep a
    /// removed record.
    pub below_forgotten: bool,
}

/// The start of a page: the first page of a listing, or a later one.
#[derive(Clone, Copy, Debug)]
pub enum Begin<'a> {
    /// All changes since a count.
    First {
        /// The count that the client knows; zero for everything.
        last_sync_count: SyncCount,
    },
    /// Everything after an earlier page.
    After(&'a RecordsPage),
}

/// Checks a sync session token that came with a listing. It may be used repeatedly until an update uses it
/// up, even after the dataset was deleted.
pub fn check_session(
    session: &Session,
    at: &DatasetRef,
    head: &Head,
    now: UnixMillis,
) -> Result<(), Refusal> {
    let trouble = if !session.is_for(at) {
        TokenTrouble::Foreign
    } else if session.expires <= now {
        TokenTrouble::Expired
    } else if head.used_sessions.contains(session.id) {
        TokenTrouble::UsedUp
    } else {
        return Ok(());
    };
    Err(Refusal::SessionToken(trouble))
}

/// Checks a page token against the request that it came with.
pub fn check_page(
    page: &RecordsPage,
    at: &DatasetRef,
    last_sync_count: SyncCount,
    head: &Head,
    now: UnixMillis,
) -> Result<(), Refusal> {
    let trouble = if !page.session.is_for(at) || page.last_sync_count != last_sync_count {
        TokenTrouble::Foreign
    } else if page.session.expires <= now {
        TokenTrouble::Expired
    } else if page.session.generation != head.generation || head.life.is_none() {
        TokenTrouble::DatasetDeleted
    } else {
        return Ok(());
    };
    Err(Refusal::PageToken(trouble))
}

/// The records to read for a page. `records_max` is the requested page size, if any, and `bytes_max` the
/// largest number of bytes to load, frames of records included.
pub fn range(begin: Begin<'_>, records_max: Option<u32>, bytes_max: usize) -> ListingRange {
    // One more than the page, so that a next page is announced only if it has something.
    let max = records_max.map(|max| max.min(RECORDS_PER_PAGE_MAX) as usize + 1);
    let (after, through) = match begin {
        Begin::After(page) => (page.cursor(), Some(page.dataset_sync_count)),
        Begin::First { last_sync_count } => (RecordCursor::Count(last_sync_count), None),
    };
    ListingRange { after, through, max, bytes_max }
}

/// Decides one page.
pub fn decide(head: &Head, begin: Begin<'_>) -> Result<Listing, Refusal> {
    let forgotten = head.life.as_ref().map_or(SyncCount::ZERO, |life| life.tombstones_forgotten_through);
    let (dataset_sync_count, deleted_after, below_forgotten) = match begin {
        Begin::After(page) => (page.dataset_sync_count, page.deleted_after, false),
        Begin::First { last_sync_count } => {
            // A name that was never used has no count to compare with, so that clients recover after a server
            // was rebuilt.
            let was_used = head.sync_count > SyncCount::ZERO;
            if was_used && last_sync_count > head.sync_count {
                return Err(Refusal::NoSuchSyncCount(last_sync_count));
            }
            let deleted_after = last_sync_count > SyncCount::ZERO && last_sync_count < head.deleted_at;
            // A client that learns of a deletion drops everything, and one that names zero has nothing.
            let below_forgotten =
                last_sync_count > SyncCount::ZERO && last_sync_count < forgotten && !deleted_after;
            (head.sync_count, deleted_after, below_forgotten)
        }
    };
    Ok(Listing {
        exists: head.life.is_some(),
        deleted_after,
        dataset_sync_count,
        generation: head.generation,
        below_forgotten,
    })
}

/// The sizes of the records that were read for a page.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// The number of them, at least one, that fit the page as JSON.
    pub fitting: usize,
    /// True if reading stopped at its limit of bytes.
    pub more: bool,
}

/// Cuts `records`, which were read with `range`, to the page size and to those that fit, and returns the start
/// of the next page, if there is one.
pub fn cut(
    records: &mut Vec<Record>,
    listing: &Listing,
    range: &ListingRange,
    loaded: Loaded,
    last_sync_count: SyncCount,
    session: &Session,
) -> Option<RecordsPage> {
    let asked = range.max.map_or(usize::MAX, |max| max - 1);
    let max = asked.min(loaded.fitting);
    if records.len() <= max && !loaded.more {
        return None;
    }
    records.truncate(max);
    let last = records.last()?;
    Some(RecordsPage {
        session: session.clone(),
        last_sync_count,
        dataset_sync_count: listing.dataset_sync_count,
        deleted_after: listing.deleted_after,
        after_count: last.sync_count,
        after_key: last.key.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Floor, Life, UsedSessions, Writer};

    fn head(count: u64, deleted_at: u64, alive: bool) -> Head {
        Head {
            generation: Generation(u64::from(deleted_at > 0)),
            sync_count: SyncCount(count),
            deleted_at: SyncCount(deleted_at),
            deleted_on: UnixMillis(0),
            used_sessions: UsedSessions::default(),
            life: alive.then(|| Life {
                created: UnixMillis(0),
                modified: UnixMillis(0),
                modified_by: Writer::from("d"),
                records: 1,
                tombstones: 0,
                tombstone_key_bytes: Some(0),
                tombstones_forgotten_through: SyncCount::ZERO,
                data_bytes: 1,
            }),
        }
    }

    fn first(head: &Head, count: u64) -> Result<Listing, Refusal> {
        decide(head, Begin::First { last_sync_count: SyncCount(count) })
    }

    /// Maps (head, LastSyncCount) to (exists, deleted after, count).
    #[test]
    fn every_row_of_the_truth_table() {
        let never = Floor::default().head();
        let alive = head(5, 0, true);
        let deleted = head(6, 6, false);
        let recreated = head(7, 6, true);
        let cases = [
            (&never, 0, (false, false, 0)),
            (&never, 9, (false, false, 0)),
            (&alive, 0, (true, false, 5)),
            (&alive, 3, (true, false, 5)),
            (&alive, 5, (true, false, 5)),
            (&deleted, 0, (false, false, 6)),
            (&deleted, 3, (false, true, 6)),
            (&deleted, 6, (false, false, 6)),
            (&recreated, 0, (true, false, 7)),
            (&recreated, 3, (true, true, 7)),
            (&recreated, 6, (true, false, 7)),
            (&recreated, 7, (true, false, 7)),
        ];
        for (head, count, expected) in cases {
            let listing = first(head, count).unwrap();
            let told = (listing.exists, listing.deleted_after, listing.dataset_sync_count.0);
            assert_eq!(told, expected, "head {head:?}, LastSyncCount {count}");
        }
    }

    #[test]
    fn a_count_above_the_datasets_is_refused_also_while_it_is_deleted() {
        for head in [head(5, 0, true), head(5, 5, false)] {
            assert_eq!(first(&head, 6), Err(Refusal::NoSuchSyncCount(SyncCount(6))));
        }
    }

    #[test]
    fn a_name_below_the_floor_counts_as_deleted() {
        let floor = Floor { sync_count: SyncCount(9), generation: Generation(2), ..Floor::default() }.head();
        let listing = first(&floor, 4).unwrap();
        assert!(!listing.exists && listing.deleted_after);
        assert_eq!(listing.dataset_sync_count, SyncCount(9));
        assert_eq!(first(&floor, 10), Err(Refusal::NoSuchSyncCount(SyncCount(10))));
    }

    #[test]
    fn a_client_that_last_listed_below_the_forgotten_tombstones_is_noticed() {
        let mut forgot = head(9, 2, true);
        forgot.life.as_mut().unwrap().tombstones_forgotten_through = SyncCount(6);
        for (count, below) in [(0, false), (1, false), (2, true), (5, true), (6, false), (9, false)] {
            assert_eq!(first(&forgot, count).unwrap().below_forgotten, below, "LastSyncCount {count}");
        }
    }

    #[test]
    fn a_page_size_above_the_ceiling_means_the_ceiling() {
        let begin = Begin::First { last_sync_count: SyncCount::ZERO };
        assert_eq!(range(begin, Some(5000), 0).max, Some(1025));
    }

    fn record(count: u64) -> Record {
        Record {
            key: crate::ids::RecordKey::from_stored(&format!("k{count}")),
            value: Some("v".to_owned()),
            sync_count: SyncCount(count),
            modified: UnixMillis(0),
            modified_by: Writer::from("d"),
            device_modified: UnixMillis(0),
        }
    }

    /// The number of records on a page, and the count after which the next page begins.
    fn page(asked: Option<u32>, loaded: Loaded) -> (usize, Option<u64>) {
        let begin = Begin::First { last_sync_count: SyncCount::ZERO };
        let listing = decide(&head(5, 0, true), begin).unwrap();
        let range = range(begin, asked, usize::MAX);
        let pool = crate::ids::PoolIncarnation(1);
        let session = Session {
            pool,
            identity: crate::ids::IdentityId::parse("us-east-1:1").unwrap(),
            dataset: crate::ids::DatasetName::parse("d").unwrap(),
            generation: Generation(0),
            seen: SyncCount::ZERO,
            id: crate::ids::SessionId(1),
            expires: UnixMillis(1),
        };
        let mut records: Vec<Record> = (1..=5).map(record).collect();
        let next = cut(&mut records, &listing, &range, loaded, SyncCount::ZERO, &session);
        (records.len(), next.map(|next| next.after_count.0))
    }

    #[test]
    fn a_page_ends_at_its_size_in_records_or_in_bytes_and_says_where_the_next_begins() {
        assert_eq!(page(None, Loaded { fitting: 5, more: false }), (5, None));
        assert_eq!(page(Some(5), Loaded { fitting: 5, more: false }), (5, None));
        assert_eq!(page(Some(2), Loaded { fitting: 5, more: false }), (2, Some(2)));
        assert_eq!(page(None, Loaded { fitting: 3, more: false }), (3, Some(3)));
        assert_eq!(page(Some(4), Loaded { fitting: 1, more: true }), (1, Some(1)));
        assert_eq!(page(None, Loaded { fitting: 5, more: true }), (5, Some(5)));
    }
}
