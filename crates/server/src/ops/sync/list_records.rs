//! ListRecords (`docs/protocol.md` sections 7.2 to 7.4).

use carryall_core::cursor::{RecordsPage, Session};
use carryall_core::ids::SyncCount;
use carryall_core::limits::{RECORDS_PER_PAGE_MAX, SESSION_SECONDS_MAX};
use carryall_core::model::{DatasetRef, Head, Record};
use carryall_core::refusal::{Refusal, TokenTrouble};
use carryall_core::rules::list_records::{self, Begin, Listing, Loaded};
use carryall_core::store::{Listing as FoundListing, ListingRange};
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::ops::sync::ListRecords;
use carryall_wire::ops::sync::list_records::{Input, Output};

use crate::capacity::{SMALL_BYTES_MAX, await_off_the_worker};
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, page_size};

impl Handler for ListRecords {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let at = call.dataset(&input).await?;
        let asked = Asked {
            last_sync_count: last_sync_count(input.last_sync_count)?,
            max: page_size(input.max_results, RECORDS_PER_PAGE_MAX)?,
            session: session(call, input.sync_session_token.as_deref())?,
            page: page(call, input.next_token.as_deref())?,
        };
        read(call, &at, &asked).await
    }
}

/// The largest number of bytes of a page besides its records and the key in its token.
const TOKENS_BYTES_MAX: usize = 4096;

/// The request's members, opened and checked.
struct Asked {
    last_sync_count: SyncCount,
    max: Option<u32>,
    session: Option<Session>,
    page: Option<RecordsPage>,
}

/// Reads one page.
async fn read(call: &Call<'_>, at: &DatasetRef, asked: &Asked) -> Result<Output, Failure> {
    let begin = match &asked.page {
        Some(page) => Begin::After(page),
        None => Begin::First { last_sync_count: asked.last_sync_count },
    };
    let range = list_records::range(begin, asked.max, call.app.config.limits.page_bytes_max);
    let found = load(call, at, &range).await?;
    let (head, mut records) = (found.head.effective(), found.records);
    if let Some(session) = &asked.session {
        list_records::check_session(session, at, &head, call.now)?;
    }
    if let Some(page) = &asked.page {
        list_records::check_page(page, at, asked.last_sync_count, &head, call.now)?;
    }
    let listing = list_records::decide(&head, begin)?;
    if listing.below_forgotten {
        call.app.metrics.listed_below_forgotten();
    }
    // Later pages belong to the session that the first one began.
    let session = match &asked.page {
        Some(page) => page.session.clone(),
        None => begin_session(call, at, &listing),
    };
    let loaded = Loaded { fitting: fitting(&records, records_bytes_max(call)), more: found.more };
    let next = list_records::cut(&mut records, &listing, &range, loaded, asked.last_sync_count, &session);
    Ok(Output {
        count: records.len() as u64,
        records: records.into_iter().map(super::record).collect(),
        next_token: next.map(|page| call.app.trust.seal_page(page.to_bytes())),
        dataset_sync_count: listing.dataset_sync_count.0,
        last_modified_by: last_modified_by(&head),
        merged_dataset_names: Vec::new(),
        dataset_exists: listing.exists,
        dataset_deleted_after_requested_sync_count: listing.deleted_after,
        sync_session_token: call.app.trust.seal_sync_session(session.to_bytes()),
    })
}

/// Loads the records of a page. Most pages are small, both as stored and as JSON. A large one is dropped, and
/// loaded again after its memory is charged, off the worker threads.
async fn load(call: &Call<'_>, at: &DatasetRef, range: &ListingRange) -> Result<FoundListing, Failure> {
    let reads = call.app.state.reads();
    let small = ListingRange { bytes_max: SMALL_BYTES_MAX, ..range.clone() };
    let found = reads.listing(at, small).await?;
    let is_whole = !found.more || range.max.is_some_and(|max| found.records.len() >= max);
    if is_whole && fit(&found.records, SMALL_BYTES_MAX) {
        return Ok(found);
    }
    let expected_bytes = expected_bytes(&found.head.effective());
    // Nothing is awaited between the read and here, so each worker thread has at most one uncharged large record.
    drop(found);
    call.build(expected_bytes).await?;
    Ok(await_off_the_worker(reads.listing(at, range.clone())).await?)
}

/// The size of a dataset as JSON, in bytes, if its text needs no escapes. It is more than the small answer that was not
/// enough.
fn expected_bytes(head: &Head) -> usize {
    let Some(life) = &head.life else { return SMALL_BYTES_MAX + 1 };
    let records = u64::from(life.records) + u64::from(life.tombstones);
    let text_bytes = life.data_bytes.saturating_add(life.tombstone_key_bytes.unwrap_or(0));
    let bytes = text_bytes.saturating_add(records * super::FRAME_BYTES_MAX as u64);
    usize::try_from(bytes).unwrap_or(usize::MAX).max(SMALL_BYTES_MAX + 1)
}

/// The largest number of bytes of JSON for the records of a page. A page also has two tokens, one of them
/// with a key.
fn records_bytes_max(call: &Call<'_>) -> usize {
    let config = &call.app.config;
    let tokens_bytes_max = TOKENS_BYTES_MAX + config.limits.key_bytes_max.saturating_mul(2);
    config.limits.page_bytes_max.saturating_sub(tokens_bytes_max)
}

/// True if all records fit `bytes_max` as JSON.
fn fit(records: &[Record], bytes_max: usize) -> bool {
    fit_for_certain(records, bytes_max) || records.iter().map(super::json_bytes).sum::<usize>() <= bytes_max
}

/// True if the bound of the records' sizes fits `bytes_max`, which holds for nearly every page and is cheaper
/// than the exact sizes.
fn fit_for_certain(records: &[Record], bytes_max: usize) -> bool {
    records.iter().map(super::json_bytes_bound).sum::<usize>() <= bytes_max
}

/// The number of records, at least one, that fit `bytes_max` as JSON.
fn fitting(records: &[Record], bytes_max: usize) -> usize {
    if fit_for_certain(records, bytes_max) {
        return records.len();
    }
    let mut left_bytes = bytes_max;
    let fits = |record: &&Record| {
        let left = left_bytes.checked_sub(super::json_bytes(record));
        left.map(|left| left_bytes = left).is_some()
    };
    records.iter().take_while(fits).count().max(1)
}

fn begin_session(call: &Call<'_>, at: &DatasetRef, listing: &Listing) -> Session {
    call.app.state.begin_session(&at.owner.pool);
    call.app.metrics.session_begun();
    Session {
        pool: at.owner.pool.incarnation,
        identity: at.owner.identity.clone(),
        dataset: at.name.clone(),
        generation: listing.generation,
        seen: listing.dataset_sync_count,
        id: call.app.clock.session_id(),
        expires: call.now.plus_seconds(SESSION_SECONDS_MAX),
    }
}

fn last_modified_by(head: &Head) -> Option<String> {
    head.life.as_ref().map(|life| life.modified_by.to_string())
}

fn last_sync_count(count: Option<i64>) -> Result<SyncCount, Violation> {
    let count = count.unwrap_or(0);
    u64::try_from(count)
        .map(SyncCount)
        .map_err(|_| Violation::new("lastSyncCount", count, Constraint::ValueMin(0)))
}

fn session(call: &Call<'_>, token: Option<&str>) -> Result<Option<Session>, Refusal> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    super::update_records::open_sync_session(call, token).map(Some)
}

fn page(call: &Call<'_>, token: Option<&str>) -> Result<Option<RecordsPage>, Refusal> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let opened = call.app.trust.open_page(token);
    let page = opened.as_deref().and_then(RecordsPage::from_bytes);
    page.ok_or(Refusal::PageToken(TokenTrouble::Forged)).map(Some)
}

#[cfg(test)]
mod tests {
    use carryall_core::ids::Generation;
    use carryall_core::model::{Life, UsedSessions, Writer};
    use carryall_core::time::UnixMillis;

    use super::*;

    #[test]
    fn the_expected_size_of_a_dataset_whose_sizes_overflow_is_the_largest() {
        let life = Life {
            created: UnixMillis(0),
            modified: UnixMillis(0),
            modified_by: Writer::from("device"),
            records: u32::MAX,
            tombstones: u32::MAX,
            tombstone_key_bytes: Some(u64::MAX),
            tombstones_forgotten_through: SyncCount::ZERO,
            data_bytes: u64::MAX,
        };
        let head = Head {
            generation: Generation(0),
            sync_count: SyncCount(1),
            deleted_at: SyncCount::ZERO,
            deleted_on: UnixMillis(0),
            used_sessions: UsedSessions::default(),
            life: Some(life),
        };
        assert_eq!(expected_bytes(&head), usize::MAX);
    }
}
