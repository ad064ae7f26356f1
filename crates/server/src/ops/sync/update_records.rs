//! UpdateRecords (`docs/protocol.md` sections 7.5 and 7.6).

use std::collections::HashMap;

use bytes::Bytes;
use carryall_core::caller::{Caller, writer};
use carryall_core::changes::Changes;
use carryall_core::cursor::Session;
use carryall_core::ids::{DeviceId, RecordKey, SyncCount};
use carryall_core::limits::{Limits, PATCHES_PER_UPDATE_MAX};
use carryall_core::model::{DatasetRef, Head, Holdings, Record, RecordStub, Writer};
use carryall_core::refusal::{Refusal, TokenTrouble};
use carryall_core::rules::effects::Effects;
use carryall_core::rules::patches::{Patch, Patches};
use carryall_core::rules::set_cognito_events::SYNC_TRIGGER;
use carryall_core::rules::update_records::{self, Decision, Forgotten};
use carryall_core::store::{DatasetView, ListingRange, StoreError, WholeDataset};
use carryall_core::time::UnixMillis;
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::json_text::Size;
use carryall_wire::limits::{Limit, RecordPatches};
use carryall_wire::ops::sync::UpdateRecords;
use carryall_wire::ops::sync::update_records::{Input, Output, RecordPatch};

use crate::app::App;
use crate::capacity::{SMALL_BYTES_MAX, await_off_the_worker, off_the_worker};
use crate::failure::Failure;
use crate::ops::Handler;
use crate::ops::call::{Call, required};
use crate::ops::sync_trigger;
use crate::state::attempt::{Step, Tries};

/// The tries of an update with a function, which is called again each time, before the caller is asked to
/// retry.
const TRIGGERED: Tries = Tries { attempts_max: 4, ..Tries::REQUEST };

/// Decoding stops where the rule refuses: earlier would refuse what the rule admits, later would decode in vain.
const _: () = assert!(RecordPatches::ENTRIES_MAX == PATCHES_PER_UPDATE_MAX);

impl Handler for UpdateRecords {
    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let caller = call.caller.as_ref().ok_or(Refusal::NotAuthorized)?;
        let by_developer = matches!(caller, Caller::Developer { .. });
        let at = call.dataset(&input).await?;
        let limits = &call.app.config.rules;
        let device = input.device_id.as_deref().map(DeviceId::parse).transpose()?;
        let patches = patches(input.record_patches.unwrap_or_default(), limits)?;
        let token = required("syncSessionToken", input.sync_session_token.as_deref())?;
        let request = update_records::UpdateRecords {
            session: open_sync_session(call, token)?,
            writer: writer(caller, device.as_ref(), &call.app.config.account_id),
            device,
            patches,
            at,
        };
        // Charged before anything is stored: a caller that exceeds its share must be refused before it was
        // served.
        call.pay_answer(answer_bytes(&request)).await?;
        let records = match sync_trigger(call, &request.at, by_developer).await? {
            None => update(call, &request).await?,
            Some(function) => triggered_update(call, &function, &request).await?,
        };
        Ok(Output { records: records.into_iter().map(super::record).collect() })
    }
}

/// The size of the answer to an update as JSON, in bytes, rounded up.
fn answer_bytes(request: &update_records::UpdateRecords) -> usize {
    let frame_bytes = super::FRAME_BYTES_MAX + Size::of_text(&request.writer);
    let text_bytes =
        |patch: &Patch| Size::of_text(patch.key.as_str()) + patch.value.as_deref().map_or(0, Size::of_text);
    request.patches.iter().map(|patch| text_bytes(patch) + frame_bytes).sum()
}

/// The size of `records` in an answer as JSON, in bytes, with a comma after each.
fn records_bytes(records: &[Record]) -> usize {
    records.iter().map(|record| super::json_bytes(record) + 1).sum()
}

/// The memory of a dataset as records, in bytes, by its head.
fn whole_bytes(head: Option<&Head>) -> usize {
    let Some(life) = head.and_then(|head| head.life.as_ref()) else { return 0 };
    // A head whose tombstones were never measured counts as large.
    let key_bytes = life.tombstone_key_bytes.unwrap_or(u64::MAX);
    let frames = (u64::from(life.records) + u64::from(life.tombstones)) * ListingRange::FRAME_BYTES as u64;
    let bytes = life.data_bytes.saturating_add(key_bytes).saturating_add(frames);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The memory of an update that a function is shown, in bytes: the records of its dataset, and an event with
/// the old and the new value of each.
fn shown_bytes(records: &[Record], request: &update_records::UpdateRecords) -> usize {
    records_bytes(records) * 3 + answer_bytes(request)
}

/// The memory of an update while its function is called, in bytes.
fn called_bytes(records: &[Record], request: &update_records::UpdateRecords) -> usize {
    shown_bytes(records, request) + answer_bytes(request)
}

/// The memory of an update whose function has answered `function_bytes` so far, in bytes: the records of its dataset,
/// and the answer as JSON and decoded. The event is no longer needed, so its memory pays for an answer of its size.
fn answered_bytes(
    records: &[Record],
    request: &update_records::UpdateRecords,
    function_bytes: usize,
) -> usize {
    called_bytes(records, request).max(records_bytes(records) + function_bytes.saturating_mul(2))
}

/// The function that has to see the update first. Developers' updates are not shown to it.
async fn sync_trigger(
    call: &Call<'_>,
    at: &DatasetRef,
    by_developer: bool,
) -> Result<Option<String>, Failure> {
    if by_developer {
        return Ok(None);
    }
    let pool = call.app.state.pool(&at.owner.pool.id).await?;
    Ok(pool.and_then(|pool| pool.events.get(SYNC_TRIGGER).cloned()))
}

async fn update(call: &Call<'_>, request: &update_records::UpdateRecords) -> Result<Vec<Record>, Failure> {
    let keys = request.patches.keys();
    let (records, forgotten) = call
        .app
        .state
        .attempt(&request.at, || async {
            let view = call.app.state.reads().dataset(&request.at, &keys).await?;
            let effects = call.effects(&request.at.owner).await?;
            Ok(match decide(call, &view, request, &effects).await? {
                None => Step::Answer((Vec::new(), Forgotten::default())),
                Some(Applied { changes, records, forgotten }) => Step::Commit(changes, (records, forgotten)),
            })
        })
        .await?;
    note_forgotten(call.app, &request.at, forgotten);
    Ok(records)
}

/// An update that changes something.
struct Applied {
    changes: Changes,
    records: Vec<Record>,
    forgotten: Forgotten,
}

/// Decides an update, with the oldest tombstones of the dataset if the decision needs them; `None` if there
/// is nothing to change. The tombstones may be later than `view`; the commit expects the dataset as in
/// `view`.
async fn decide(
    call: &Call<'_>,
    view: &DatasetView,
    request: &update_records::UpdateRecords,
    effects: &Effects,
) -> Result<Option<Applied>, Failure> {
    let limits = &call.app.config.rules;
    let mut decision = update_records::decide(view, call.now, request, limits, effects);
    if let Ok(Decision::Load(oldest)) = decision {
        let generation = request.session.generation;
        let oldest =
            call.app.state.reads().tombstones(&request.at, generation, oldest).await?.unwrap_or_default();
        decision = update_records::decide_with_tombstones(view, &oldest, call.now, request, limits, effects);
    }
    match decision {
        Ok(Decision::Nothing) => Ok(None),
        Ok(Decision::Apply { changes, records, forgotten }) => {
            Ok(Some(Applied { changes, records, forgotten }))
        }
        Ok(Decision::Load(_)) => Err(Failure::RetriesExhausted),
        Ok(Decision::Damaged(what)) => Err(StoreError::Corrupt { what }.into()),
        Err(refusal) => Err(refused(call, refusal)),
    }
}

/// Counts forgotten tombstones, and logs a dataset's first ones.
fn note_forgotten(app: &App, at: &DatasetRef, forgotten: Forgotten) {
    app.metrics.tombstones_forgotten(forgotten.count);
    if forgotten.is_first {
        let (pool, identity, dataset) =
            (at.owner.pool.id.as_str(), at.owner.identity.as_str(), at.name.as_str());
        tracing::warn!(
            pool,
            identity,
            dataset,
            "the dataset forgets its oldest tombstones: a device that has not synchronized for long may keep removed records"
        );
    }
}

/// Updates as [`update`] does, with a call of the function in between. The function sees the update after
/// session and counts have been checked. Nothing is held during the call, not even the dataset's turn: if the
/// dataset changes meanwhile, the commit is refused and everything is repeated.
async fn triggered_update(
    call: &Call<'_>,
    function: &str,
    request: &update_records::UpdateRecords,
) -> Result<Vec<Record>, Failure> {
    let updated = call.app.state.retry(TRIGGERED, || decide_with_trigger(call, function, request));
    let (records, forgotten) = updated.await?.ok_or(Failure::RetriesExhausted)?;
    note_forgotten(call.app, &request.at, forgotten);
    Ok(records)
}

async fn decide_with_trigger(
    call: &Call<'_>,
    function: &str,
    request: &update_records::UpdateRecords,
) -> Result<Step<(Vec<Record>, Forgotten)>, Failure> {
    let (app, at) = (call.app, &request.at);
    // An update that is tried again returns the memory of the attempt before it first: two updates of one caller
    // must not wait for the memory that the other holds.
    call.pay_answer(answer_bytes(request)).await?;
    let stored = load_whole(call, request).await?;
    let view = stored.view_of(&request.patches.keys());
    update_records::check(&view, call.now, request).map_err(|refusal| refused(call, refusal))?;
    if request.patches.iter().len() == 0 {
        return Ok(Step::Answer((Vec::new(), Forgotten::default())));
    }
    let json = event_json(call, request, &stored.records).await?;
    let shown = (stored.records.as_slice(), &request.patches);
    let pay = |function_bytes| call.pay_answer(answered_bytes(&stored.records, request, function_bytes));
    let triggered = sync_trigger::call(app, function, at, json, shown, pay).await?;
    let edited = update_records::UpdateRecords { patches: triggered.patches, ..request.clone() };
    let view = stored.view_of(&edited.patches.keys());
    let effects = call.effects(&at.owner).await?;
    let left_out = stored.as_they_stand(&triggered.left_out, call.now, &request.writer);
    drop(stored);
    // Charged before the commit, because a stored update must not be refused.
    call.pay_answer(answer_bytes(&edited) + records_bytes(&left_out)).await?;
    Ok(match decide(call, &view, &edited, &effects).await? {
        None => Step::Answer((left_out, Forgotten::default())),
        Some(Applied { changes, mut records, forgotten }) => {
            records.extend(left_out);
            Step::Commit(changes, (records, forgotten))
        }
    })
}

fn refused(call: &Call<'_>, refusal: Refusal) -> Failure {
    if let Refusal::StaleRecord { .. } | Refusal::DatasetDeleted(_) = refusal {
        call.app.metrics.conflict();
    }
    refusal.into()
}

/// A dataset with all its records.
struct Whole {
    head: Option<Head>,
    holdings: Holdings,
    records: Vec<Record>,
}

/// Loads the dataset of an update. A large one is loaded after its memory is charged, off the worker threads.
async fn load_whole(call: &Call<'_>, request: &update_records::UpdateRecords) -> Result<Whole, Failure> {
    let (reads, at) = (call.app.state.reads(), &request.at);
    let whole_bytes = whole_bytes(reads.head(at).await?.head.as_ref());
    let found = if whole_bytes > SMALL_BYTES_MAX {
        call.build(whole_bytes.saturating_add(answer_bytes(request))).await?;
        let found = await_off_the_worker(reads.whole_dataset(at)).await;
        call.built().await;
        found?
    } else {
        reads.whole_dataset(at).await?
    };
    let WholeDataset { head, holdings, records } = found;
    Ok(Whole { head, holdings, records })
}

/// The event for the function. It is charged like a part of the answer: only its own memory is returned
/// before the commit.
async fn event_json(
    call: &Call<'_>,
    request: &update_records::UpdateRecords,
    records: &[Record],
) -> Result<Bytes, Failure> {
    let shown_bytes = shown_bytes(records, request);
    let all_bytes = called_bytes(records, request);
    let build = || sync_trigger::event_json(call.app, &request.at, records, &request.patches);
    if shown_bytes <= SMALL_BYTES_MAX {
        call.pay_answer(all_bytes).await?;
        return build();
    }
    call.build(all_bytes).await?;
    let json = off_the_worker(build);
    call.built().await;
    json
}

impl Whole {
    /// The view on which a decision about these keys is made.
    fn view_of(&self, keys: &[RecordKey]) -> DatasetView {
        let stored: HashMap<&RecordKey, RecordStub> =
            self.records.iter().map(|record| (&record.key, record.stub())).collect();
        let stubs = keys.iter().map(|key| stored.get(key).copied()).collect();
        DatasetView { head: self.head.clone(), holdings: self.holdings, stubs }
    }

    /// The stored records of `keys`. A key that is not stored is answered like a removed record that never
    /// existed, because clients wait for an answer to each of their patches.
    fn as_they_stand(&self, keys: &[RecordKey], now: UnixMillis, writer: &Writer) -> Vec<Record> {
        let absent = |key: &RecordKey| Record {
            key: key.clone(),
            value: None,
            sync_count: SyncCount::ZERO,
            modified: now,
            modified_by: writer.clone(),
            device_modified: now,
        };
        let stored: HashMap<&RecordKey, &Record> =
            self.records.iter().map(|record| (&record.key, record)).collect();
        keys.iter()
            .map(|key| stored.get(key).map_or_else(|| absent(key), |record| Record::clone(record)))
            .collect()
    }
}

/// Opens a sync session token. The rules decide if it fits the request.
pub(super) fn open_sync_session(call: &Call<'_>, token: &str) -> Result<Session, Refusal> {
    let opened = call.app.trust.open_sync_session(token);
    opened.as_deref().and_then(Session::from_bytes).ok_or(Refusal::SessionToken(TokenTrouble::Forged))
}

fn patches(patches: Vec<RecordPatch>, limits: &Limits) -> Result<Patches, Violation> {
    let parsed: Result<Vec<Patch>, Violation> =
        patches.into_iter().enumerate().map(|(index, raw)| patch(index + 1, raw, limits)).collect();
    Patches::new(parsed?)
}

fn patch(number: usize, raw: RecordPatch, limits: &Limits) -> Result<Patch, Violation> {
    let member = |name: &str| format!("recordPatches.{number}.member.{name}");
    let key = raw.key.ok_or_else(|| Violation::missing(member("key")))?;
    let key = RecordKey::parse(&member("key"), &key, limits.key_bytes_max)?;
    let count = raw.sync_count.ok_or_else(|| Violation::missing(member("syncCount")))?;
    let sync_count = u64::try_from(count)
        .map(SyncCount)
        .map_err(|_| Violation::new(member("syncCount"), count, Constraint::ValueMin(0)))?;
    let value = match raw.op.as_deref() {
        // The value of a removal is ignored: the JS manager sends an empty one.
        Some("remove") => None,
        Some("replace") => {
            let value = raw.value.ok_or_else(|| Violation::missing(member("value")))?;
            if value.len() > limits.value_bytes_max {
                let constraint = Constraint::LengthMax(limits.value_bytes_max as u64);
                return Err(Violation::new(member("value"), value, constraint));
            }
            Some(value)
        }
        Some(other) => {
            return Err(Violation::new(member("op"), other, Constraint::Enum(&["replace", "remove"])));
        }
        None => return Err(Violation::missing(member("op"))),
    };
    let device_modified = raw.device_last_modified_date.map(|date| UnixMillis(date.unix_milliseconds()));
    Ok(Patch { key, value, sync_count, device_modified })
}
