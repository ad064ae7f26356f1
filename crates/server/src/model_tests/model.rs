//! The reference: `docs/protocol.md` sections 7 and 8 as maps and plain arithmetic. It is written from the
//! document and shares no rule with the program, only the shapes of answers.
//!
//! Tokens are opaque here: the model remembers the meaning of each one that was issued.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use carryall_core::limits::Limits;
use carryall_wire::fault::FaultKind;
use carryall_wire::ops::sync::{list_datasets, list_records, update_records};
use carryall_wire::shapes;
use carryall_wire::timestamp::Timestamp;

const SESSION_MILLIS: i64 = 3_600_000;
const CREDENTIALS_MILLIS: i64 = 43_200_000;
const USED_SESSIONS: usize = 32;
const DELETED_NAMES: usize = 256;
const PAGE_MAX: i64 = 1024;
pub(super) const ACCOUNT: &str = "000000000000";
const BAD_SESSION: &str = "SyncSessionToken not valid for these inputs";

/// A refusal, with its text where the document fixes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) kind: FaultKind,
    pub(super) message: Option<String>,
}

pub(super) type Told<T> = Result<T, Refused>;

fn refuse<T>(kind: FaultKind) -> Told<T> {
    Err(Refused { kind, message: None })
}

fn refuse_with<T>(kind: FaultKind, message: impl Into<String>) -> Told<T> {
    Err(Refused { kind, message: Some(message.into()) })
}

/// The caller. An identity's credentials belong to one incarnation of its pool.
#[derive(Clone, Debug)]
pub(super) enum Who {
    Developer,
    Identity { pool: String, life: u64, identity: String },
}

/// A dataset name as a request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pool: String,
    pub(super) identity: String,
    pub(super) dataset: String,
}

/// The meaning of a sync session token (section 7.4).
#[derive(Clone, Debug)]
pub(super) struct Session {
    pool_life: u64,
    identity: String,
    dataset: String,
    generation: u64,
    /// The dataset's count when it was listed.
    seen: u64,
    number: u64,
    expires: i64,
}

/// The meaning of a page token of a listing (section 7.3).
#[derive(Clone, Debug)]
pub(super) struct Page {
    session: Session,
    pub(super) last_sync_count: i64,
    cap: u64,
    deleted: bool,
    after: (u64, String),
}

/// The meaning of a page token of a list of names.
#[derive(Clone, Debug)]
pub(super) struct NamesPage {
    pool_life: u64,
    identity: String,
    after: String,
}

/// A token of a request.
#[derive(Clone, Debug)]
pub(super) enum Token<T> {
    Absent,
    Forged,
    Issued(T),
}

/// The members of a ListRecords that matter.
pub(super) struct Listing {
    pub(super) last_sync_count: Option<i64>,
    pub(super) max_results: Option<i64>,
    pub(super) session: Token<Session>,
    pub(super) page: Token<Page>,
}

/// The members of an UpdateRecords that matter.
#[derive(Clone)]
pub(super) struct Update {
    pub(super) device: Option<String>,
    pub(super) session: Token<Session>,
    pub(super) patches: Vec<update_records::RecordPatch>,
}

#[derive(Clone, Debug, Default)]
struct Life {
    created: i64,
    modified: i64,
    by: String,
    records: BTreeMap<String, shapes::Record>,
    /// The count up to which tombstones were forgotten (section 7.7).
    forgotten: u64,
}

impl Life {
    fn live(&self) -> impl Iterator<Item = &shapes::Record> {
        self.records.values().filter(|record| record.value.is_some())
    }

    fn data_bytes(&self) -> u64 {
        self.live()
            .map(|record| (record.key.len() + record.value.as_ref().map_or(0, String::len)) as u64)
            .sum()
    }

    /// The number of records, and their bytes.
    fn sizes(&self) -> [u64; 2] {
        [self.live().count() as u64, self.data_bytes()]
    }

    /// Section 7.7: above a limit the oldest tombstones are forgotten, until an eighth of each limit is free.
    fn forget_tombstones(&mut self, limits: &Limits) {
        let count_max = u64::from(limits.tombstones_per_dataset_max);
        let bytes_max = limits.tombstone_key_bytes_per_dataset_max;
        let mut oldest: Vec<(u64, String)> = self
            .records
            .values()
            .filter(|record| record.value.is_none())
            .map(|record| (record.sync_count, record.key.to_string()))
            .collect();
        oldest.sort();
        let mut bytes: u64 = oldest.iter().map(|(_, key)| key.len() as u64).sum();
        let mut count = oldest.len() as u64;
        if count <= count_max && bytes <= bytes_max {
            return;
        }
        for (sync_count, key) in oldest {
            if count <= count_max - count_max / 8 && bytes <= bytes_max - bytes_max / 8 {
                break;
            }
            count -= 1;
            bytes -= key.len() as u64;
            self.records.remove(&key);
            self.forgotten = self.forgotten.max(sync_count);
        }
    }
}

/// A dataset name with a row: a dataset, or the marker of a deleted one.
#[derive(Clone, Debug, Default)]
struct Name {
    generation: u64,
    count: u64,
    deleted_at: u64,
    /// The last date that the name had before its deletion; 0 while it is a dataset.
    deleted_on: i64,
    used: VecDeque<u64>,
    life: Option<Life>,
}

#[derive(Clone, Debug, Default)]
struct Owner {
    names: BTreeMap<String, Name>,
    floor_count: u64,
    floor_generation: u64,
    floor_date: i64,
}

impl Owner {
    /// The name as answers show it: one without a row is shown as deleted at the floor (section 7.10).
    fn name(&self, dataset: &str) -> Name {
        self.names.get(dataset).cloned().unwrap_or_else(|| Name {
            generation: self.floor_generation,
            count: self.floor_count,
            deleted_at: self.floor_count,
            deleted_on: self.floor_date,
            ..Name::default()
        })
    }

    fn lives(&self) -> impl Iterator<Item = (&String, &Life)> {
        self.names.iter().filter_map(|(name, row)| Some((name, row.life.as_ref()?)))
    }

    fn raise_floor(&mut self, count: u64, generation: u64, date: i64) {
        self.floor_count = self.floor_count.max(count);
        self.floor_generation = self.floor_generation.max(generation);
        self.floor_date = self.floor_date.max(date);
    }

    fn raise_floor_above_all(&mut self, now: i64) {
        for row in self.names.clone().into_values() {
            match row.life {
                Some(life) => self.raise_floor(row.count + 1, row.generation + 1, now.max(life.modified)),
                None => self.raise_floor(row.count, row.generation + 1, row.deleted_on),
            }
        }
    }

    fn absorb_one_marker_too_many(&mut self) {
        let markers = || self.names.iter().filter(|(_, row)| row.life.is_none());
        if markers().count() <= DELETED_NAMES {
            return;
        }
        if let Some((name, row)) = markers().min_by_key(|(_, row)| row.count) {
            let (name, row) = (name.clone(), row.clone());
            self.names.remove(&name);
            self.raise_floor(row.count, row.generation, row.deleted_on);
        }
    }
}

#[derive(Clone, Debug)]
struct Pool {
    life: u64,
    created: i64,
    sessions: u64,
    modified: Option<i64>,
    owners: BTreeMap<String, Owner>,
    handed_out: BTreeSet<String>,
}

impl Pool {
    fn owner(&self, identity: &str) -> Owner {
        self.owners.get(identity).cloned().unwrap_or_default()
    }

    fn usage(&self, id: &str) -> shapes::IdentityPoolUsage {
        let bytes = self.owners.values().flat_map(Owner::lives).map(|(_, life)| life.data_bytes()).sum();
        shapes::IdentityPoolUsage {
            identity_pool_id: id.to_owned(),
            sync_sessions_count: (self.sessions > 0).then_some(self.sessions),
            data_storage: bytes,
            last_modified_date: Some(at(self.modified.unwrap_or(self.created))),
        }
    }

    /// Removes everything of the identity, without touching the floor.
    fn clear(&mut self, identity: &str, now: i64) {
        let owner = self.owners.entry(identity.to_owned()).or_default();
        if owner.lives().next().is_some() {
            self.modified = self.modified.max(Some(now));
        }
        owner.names.clear();
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_milliseconds(millis)
}

/// The whole installation.
pub(super) struct Model {
    pub(super) now: i64,
    pub(super) limits: Limits,
    pub(super) developer_updates: bool,
    pools: BTreeMap<String, Pool>,
    pool_lives: u64,
    sessions: u64,
    sweeps: Vec<(i64, u64, String)>,
}

impl Model {
    pub(super) fn new(now: i64, limits: Limits, developer_updates: bool) -> Self {
        let (pools, sweeps) = (BTreeMap::new(), Vec::new());
        Self { now, limits, developer_updates, pools, pool_lives: 0, sessions: 0, sweeps }
    }

    // What the test asks in order to build requests.

    pub(super) fn pool_life(&self, pool: &str) -> Option<u64> {
        self.pools.get(pool).map(|pool| pool.life)
    }

    /// The dataset's count, and the record's if there is one.
    pub(super) fn counts(&self, place: &Place, key: &str) -> (u64, Option<u64>) {
        let owner = self.pools.get(&place.pool).map(|pool| pool.owner(&place.identity)).unwrap_or_default();
        let name = owner.name(&place.dataset);
        let record =
            name.life.as_ref().and_then(|life| life.records.get(key)).map(|record| record.sync_count);
        (name.count, record)
    }

    // Pools and identities.

    /// Starts a new incarnation of a pool and returns its number.
    pub(super) fn create_pool(&mut self, id: &str, created: i64) -> u64 {
        self.pool_lives += 1;
        let (owners, handed_out) = (BTreeMap::new(), BTreeSet::new());
        let life = self.pool_lives;
        let pool = Pool { life, created, sessions: 0, modified: None, owners, handed_out };
        self.pools.insert(id.to_owned(), pool);
        life
    }

    pub(super) fn delete_pool(&mut self, id: &str) -> Told<()> {
        match self.pools.remove(id) {
            Some(_) => Ok(()),
            None => refuse(FaultKind::ResourceNotFound),
        }
    }

    pub(super) fn hand_out(&mut self, pool: &str, identity: &str) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.handed_out.insert(identity.to_owned());
        }
    }

    /// Section 10.5. Names answer as deleted afterwards, so that counts do not fall for issued credentials.
    pub(super) fn delete_identity(&mut self, identity: &str) {
        let now = self.now;
        let Some(pool) = self.pools.values_mut().find(|pool| pool.handed_out.contains(identity)) else {
            return;
        };
        pool.handed_out.remove(identity);
        let owner = pool.owners.entry(identity.to_owned()).or_default();
        owner.raise_floor_above_all(now);
        self.sweeps.push((now + CREDENTIALS_MILLIS, pool.life, identity.to_owned()));
        pool.clear(identity, now);
    }

    /// Clears the data that was written under the last credentials of deleted identities.
    pub(super) fn sweep(&mut self) {
        let now = self.now;
        let (due, later) = self.sweeps.drain(..).partition(|(not_before, ..)| *not_before <= now);
        self.sweeps = later;
        let due: Vec<(i64, u64, String)> = due;
        for (_, life, identity) in due {
            if let Some(pool) = self.pools.values_mut().find(|pool| pool.life == life) {
                let owner = pool.owners.entry(identity.clone()).or_default();
                let wrote_since = !owner.names.is_empty();
                owner.raise_floor_above_all(now);
                pool.clear(&identity, now);
                if !wrote_since {
                    pool.owners.remove(&identity);
                }
            }
        }
    }

    /// Inserts markers of names that were deleted long ago.
    pub(super) fn add_markers(&mut self, place: &Place, markers: &[(String, u64, u64, i64)]) {
        let Some(pool) = self.pools.get_mut(&place.pool) else { return };
        let owner = pool.owners.entry(place.identity.clone()).or_default();
        for (name, generation, count, deleted_on) in markers {
            let row = Name {
                generation: *generation,
                count: *count,
                deleted_at: *count,
                deleted_on: *deleted_on,
                ..Name::default()
            };
            owner.names.insert(name.clone(), row);
        }
    }

    pub(super) fn markers(&self, place: &Place) -> usize {
        let owner = self.pools.get(&place.pool).map(|pool| pool.owner(&place.identity)).unwrap_or_default();
        owner.names.values().filter(|row| row.life.is_none()).count()
    }

    // Access, for the classes "either" and "developer" (sections 3.2, 5.3, 5.4 and 5.6).

    fn enter(&self, who: &Who, pool: &str, identity: &str, unknown_pool: FaultKind) -> Told<&Pool> {
        if let Who::Identity { pool: own_pool, identity: own, .. } = who
            && (own_pool != pool || own != identity)
        {
            return refuse(FaultKind::NotAuthorized);
        }
        let Some(found) = self.pools.get(pool) else { return refuse(unknown_pool) };
        match who {
            Who::Identity { life, .. } if *life != found.life => refuse(FaultKind::NotAuthorized),
            Who::Identity { .. } | Who::Developer => Ok(found),
        }
    }

    fn enter_as_developer(who: &Who) -> Told<()> {
        match who {
            Who::Developer => Ok(()),
            Who::Identity { .. } => refuse(FaultKind::NotAuthorized),
        }
    }

    fn check_session(&self, session: &Session, pool: &Pool, place: &Place) -> Told<()> {
        let fits = session.pool_life == pool.life
            && session.identity == place.identity
            && session.dataset == place.dataset
            && self.now < session.expires;
        if fits { Ok(()) } else { refuse_with(FaultKind::InvalidParameter, BAD_SESSION) }
    }

    // Sections 7.2 to 7.4. Tokens in the expected answer are stand-ins.

    #[expect(
        clippy::too_many_lines,
        reason = "one listing after the document, from its first check to its answer"
    )]
    pub(super) fn list_records(
        &mut self,
        who: &Who,
        place: &Place,
        ask: &Listing,
    ) -> Told<(list_records::Output, Session, Option<Page>)> {
        let pool = self.enter(who, &place.pool, &place.identity, FaultKind::NotAuthorized)?;
        let last = ask.last_sync_count.unwrap_or(0);
        let (Ok(n), false) = (u64::try_from(last), ask.max_results.is_some_and(|max| max < 1)) else {
            return refuse(FaultKind::InvalidParameter);
        };
        let name = pool.owner(&place.identity).name(&place.dataset);
        match &ask.session {
            Token::Absent => {}
            Token::Forged => return refuse_with(FaultKind::InvalidParameter, BAD_SESSION),
            Token::Issued(session) => {
                let unusable =
                    self.check_session(session, pool, place).is_err() || name.used.contains(&session.number);
                if unusable && matches!(ask.page, Token::Forged) {
                    // The document does not say which of two bad tokens the text names.
                    return refuse(FaultKind::InvalidParameter);
                }
                if unusable {
                    return refuse_with(FaultKind::InvalidParameter, BAD_SESSION);
                }
            }
        }
        let exists = name.life.is_some();
        let (session, after, cap, deleted) = match &ask.page {
            Token::Forged => return refuse(FaultKind::InvalidParameter),
            Token::Issued(page) => {
                let fits = self.check_session(&page.session, pool, place).is_ok()
                    && page.last_sync_count == last
                    && page.session.generation == name.generation
                    && exists;
                if !fits {
                    return refuse(FaultKind::InvalidParameter);
                }
                (page.session.clone(), Some(page.after.clone()), page.cap, page.deleted)
            }
            Token::Absent => {
                if n > name.count && name.count > 0 {
                    let message = format!("No such SyncCount: {n} exists for this Dataset");
                    return refuse_with(FaultKind::InvalidParameter, message);
                }
                let session = Session {
                    pool_life: pool.life,
                    identity: place.identity.clone(),
                    dataset: place.dataset.clone(),
                    generation: name.generation,
                    seen: name.count,
                    number: self.sessions,
                    expires: self.now + SESSION_MILLIS,
                };
                self.sessions += 1;
                if let Some(pool) = self.pools.get_mut(&place.pool) {
                    pool.sessions += 1;
                }
                (session, None, name.count, 0 < n && n < name.deleted_at)
            }
        };
        let mut records: Vec<shapes::Record> = name
            .life
            .iter()
            .flat_map(|life| life.records.values())
            .filter(|record| record.sync_count <= cap)
            .filter(|record| match &after {
                None => record.sync_count > n,
                Some((count, key)) => (record.sync_count, &*record.key) > (*count, key.as_str()),
            })
            .cloned()
            .collect();
        records.sort_by(|a, b| (a.sync_count, &a.key).cmp(&(b.sync_count, &b.key)));
        let size = ask.max_results.map_or(usize::MAX, |max| usize::try_from(max.min(PAGE_MAX)).unwrap());
        let more = records.len() > size;
        records.truncate(size);
        let page = records.last().filter(|_| more).map(|record| Page {
            session: session.clone(),
            last_sync_count: last,
            cap,
            deleted,
            after: (record.sync_count, record.key.to_string()),
        });
        let output = list_records::Output {
            count: records.len() as u64,
            records,
            next_token: page.as_ref().map(|_| String::new()),
            dataset_sync_count: cap,
            last_modified_by: name.life.map(|life| life.by),
            merged_dataset_names: Vec::new(),
            dataset_exists: exists,
            dataset_deleted_after_requested_sync_count: deleted,
            sync_session_token: String::new(),
        };
        Ok((output, session, page))
    }

    // Sections 7.5 to 7.7.

    pub(super) fn update_records(
        &mut self,
        who: &Who,
        place: &Place,
        ask: &Update,
    ) -> Told<update_records::Output> {
        if matches!(who, Who::Developer) && !self.developer_updates {
            return refuse(FaultKind::NotAuthorized);
        }
        let pool = self.enter(who, &place.pool, &place.identity, FaultKind::ResourceNotFound)?;
        if !self.satisfies_constraints(&ask.patches) {
            return refuse(FaultKind::InvalidParameter);
        }
        let session = match &ask.session {
            Token::Absent => return refuse(FaultKind::InvalidParameter),
            Token::Forged => return refuse_with(FaultKind::InvalidParameter, BAD_SESSION),
            Token::Issued(session) => session,
        };
        self.check_session(session, pool, place)?;
        let owner = pool.owner(&place.identity);
        let mut name = owner.name(&place.dataset);
        if session.generation != name.generation {
            return refuse(FaultKind::ResourceConflict);
        }
        // Dates of a name never run backwards, over deletions neither.
        let now = self.now.max(name.life.as_ref().map_or(name.deleted_on, |life| life.modified));
        let mut life = name.life.clone().unwrap_or_else(|| Life { created: now, ..Life::default() });
        for patch in &ask.patches {
            let key = patch.key.clone().unwrap();
            let client = patch.sync_count.unwrap();
            let stored = life.records.get(&key).map(|record| record.sync_count.cast_signed());
            // A call from before a tombstone was forgotten may be one that was applied before.
            let unseen = stored.is_none() && session.seen < life.forgotten;
            let server = if unseen { life.forgotten.cast_signed() } else { stored.unwrap_or(0) };
            if unseen || client < server || client > name.count.cast_signed() {
                let message = format!("Current SyncCount for: {key} is: {server} not: {client}");
                return refuse_with(FaultKind::ResourceConflict, message);
            }
        }
        if name.used.contains(&session.number) {
            return refuse_with(FaultKind::InvalidParameter, BAD_SESSION);
        }
        if ask.patches.is_empty() {
            return Ok(update_records::Output { records: Vec::new() });
        }
        let before = life.sizes();
        let by = ask.device.clone().unwrap_or_else(|| match who {
            Who::Developer => ACCOUNT.to_owned(),
            Who::Identity { identity, .. } => identity.clone(),
        });
        let count = name.count + 1;
        let records: Vec<shapes::Record> =
            ask.patches.iter().map(|patch| Self::patched(now, patch, count, &by)).collect();
        life.records.extend(records.iter().map(|record| (record.key.to_string(), record.clone())));
        let creates = name.life.is_none().then(|| owner.lives().count() as u64);
        self.check_limits(creates, before, life.sizes())?;
        if records.iter().any(|record| record.value.is_none()) {
            life.forget_tombstones(&self.limits);
        }
        life.modified = now;
        life.by = by;
        name.count = count;
        name.deleted_on = 0;
        name.life = Some(life);
        name.used.push_back(session.number);
        if name.used.len() > USED_SESSIONS {
            name.used.pop_front();
        }
        self.put(place, name);
        Ok(update_records::Output { records })
    }

    fn satisfies_constraints(&self, patches: &[update_records::RecordPatch]) -> bool {
        let mut keys = BTreeSet::new();
        patches.iter().all(|patch| {
            let key = patch.key.as_deref().unwrap_or_default();
            let value_is_fine = match patch.op.as_deref() {
                Some("remove") => true,
                Some("replace") => {
                    patch.value.as_ref().is_some_and(|value| value.len() <= self.limits.value_bytes_max)
                }
                Some(_) | None => false,
            };
            (1..=self.limits.key_bytes_max).contains(&key.len())
                && patch.sync_count.is_some_and(|count| count >= 0)
                && value_is_fine
                && keys.insert(key.to_owned())
        })
    }

    fn patched(now: i64, patch: &update_records::RecordPatch, sync_count: u64, by: &str) -> shapes::Record {
        shapes::Record {
            key: patch.key.clone().unwrap().into(),
            value: patch.value.clone().filter(|_| patch.op.as_deref() == Some("replace")),
            sync_count,
            last_modified_date: at(now),
            last_modified_by: Some(by.into()),
            device_last_modified_date: patch.device_last_modified_date.unwrap_or(at(now)),
        }
    }

    /// `creates` is the number of datasets if there will be one more (section 6.2).
    fn check_limits(&self, creates: Option<u64>, before: [u64; 2], after: [u64; 2]) -> Told<()> {
        let limits = [u64::from(self.limits.records_per_dataset_max), self.limits.dataset_bytes_max];
        let grown_beyond = (0..2).any(|which| after[which] > limits[which] && after[which] > before[which]);
        let datasets_max = u64::from(self.limits.datasets_per_identity_max);
        if grown_beyond || creates.is_some_and(|datasets| datasets >= datasets_max) {
            return refuse(FaultKind::LimitExceeded);
        }
        Ok(())
    }

    fn put(&mut self, place: &Place, name: Name) {
        let now = name.life.as_ref().map_or(self.now, |life| life.modified);
        if let Some(pool) = self.pools.get_mut(&place.pool) {
            pool.modified = pool.modified.max(Some(now));
            let owner = pool.owners.entry(place.identity.clone()).or_default();
            owner.names.insert(place.dataset.clone(), name);
            owner.absorb_one_marker_too_many();
        }
    }

    // Sections 7.8 and 7.9.

    fn described(place: &Place, dataset: &str, life: &Life) -> shapes::Dataset {
        shapes::Dataset {
            identity_id: place.identity.clone(),
            dataset_name: dataset.to_owned(),
            creation_date: at(life.created),
            last_modified_date: at(life.modified),
            last_modified_by: Some(life.by.clone()),
            data_storage: life.data_bytes(),
            num_records: life.live().count() as u64,
        }
    }

    pub(super) fn delete_dataset(&mut self, who: &Who, place: &Place) -> Told<shapes::Dataset> {
        let pool = self.enter(who, &place.pool, &place.identity, FaultKind::ResourceNotFound)?;
        let name = pool.owner(&place.identity).name(&place.dataset);
        let Some(life) = name.life else { return refuse(FaultKind::ResourceNotFound) };
        let count = name.count + 1;
        let marker = Name {
            generation: name.generation + 1,
            count,
            deleted_at: count,
            deleted_on: self.now.max(life.modified),
            used: VecDeque::new(),
            life: None,
        };
        self.put(place, marker);
        Ok(Self::described(place, &place.dataset, &life))
    }

    pub(super) fn describe_dataset(&self, who: &Who, place: &Place) -> Told<shapes::Dataset> {
        let pool = self.enter(who, &place.pool, &place.identity, FaultKind::ResourceNotFound)?;
        match pool.owner(&place.identity).name(&place.dataset).life {
            Some(life) => Ok(Self::described(place, &place.dataset, &life)),
            None => refuse(FaultKind::ResourceNotFound),
        }
    }

    pub(super) fn list_datasets(
        &self,
        who: &Who,
        place: &Place,
        max: Option<i64>,
        page: &Token<NamesPage>,
    ) -> Told<(list_datasets::Output, Option<NamesPage>)> {
        let pool = self.enter(who, &place.pool, &place.identity, FaultKind::NotAuthorized)?;
        let after = match page {
            Token::Absent => None,
            Token::Issued(page) if page.pool_life == pool.life && page.identity == place.identity => {
                Some(&page.after)
            }
            Token::Issued(_) | Token::Forged => return refuse(FaultKind::InvalidParameter),
        };
        if max.is_some_and(|max| max < 1) {
            return refuse(FaultKind::InvalidParameter);
        }
        let owner = pool.owner(&place.identity);
        let mut datasets: Vec<shapes::Dataset> = owner
            .lives()
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .map(|(name, life)| Self::described(place, name, life))
            .collect();
        let size = max.map_or(usize::MAX, |max| usize::try_from(max.min(PAGE_MAX)).unwrap());
        let more = datasets.len() > size;
        datasets.truncate(size);
        let next = datasets.last().filter(|_| more).map(|dataset| NamesPage {
            pool_life: pool.life,
            identity: place.identity.clone(),
            after: dataset.dataset_name.clone(),
        });
        let count = datasets.len() as u64;
        let next_token = next.as_ref().map(|_| String::new());
        Ok((list_datasets::Output { datasets, count, next_token }, next))
    }

    // Section 8.

    pub(super) fn identity_usage(&self, who: &Who, place: &Place) -> Told<shapes::IdentityUsage> {
        let pool = self.enter(who, &place.pool, &place.identity, FaultKind::ResourceNotFound)?;
        let owner = pool.owner(&place.identity);
        Ok(shapes::IdentityUsage {
            identity_id: place.identity.clone(),
            identity_pool_id: place.pool.clone(),
            last_modified_date: owner.lives().map(|(_, life)| at(life.modified)).max(),
            dataset_count: owner.lives().count() as u64,
            data_storage: owner.lives().map(|(_, life)| life.data_bytes()).sum(),
        })
    }

    pub(super) fn pool_usage(&self, who: &Who, pool: &str) -> Told<shapes::IdentityPoolUsage> {
        Self::enter_as_developer(who)?;
        match self.pools.get(pool) {
            Some(found) => Ok(found.usage(pool)),
            None => refuse(FaultKind::ResourceNotFound),
        }
    }

    pub(super) fn all_pool_usage(&self, who: &Who) -> Told<Vec<shapes::IdentityPoolUsage>> {
        Self::enter_as_developer(who)?;
        Ok(self.pools.iter().map(|(id, pool)| pool.usage(id)).collect())
    }
}
