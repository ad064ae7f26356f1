//! UpdateRecords (`docs/protocol.md` sections 7.5 and 7.6).

use carryall_core::cursor::Session;
use carryall_core::ids::{DeviceId, RecordKey, SyncCount};
use carryall_core::limits::Limits;
use carryall_core::model::{Caller, writer};
use carryall_core::refusal::{Refusal, TokenTrouble};
use carryall_core::rules::update_records::{self, Decision, Patch, Patches};
use carryall_core::time::UnixMillis;
use carryall_core::violation::{Constraint, Violation};
use carryall_wire::ops::sync::UpdateRecords;
use carryall_wire::ops::sync::update_records::{Input, Output, RecordPatch};

use crate::access::Subject;
use crate::attempt::{Step, attempt};
use crate::call::{Call, required};
use crate::error::Failure;
use crate::ops::Handler;
use crate::seal::Purpose;

impl Handler for UpdateRecords {
    fn subject(input: &Input) -> Subject<'_> {
        Subject::Identity { pool: input.identity_pool_id.as_deref(), identity: input.identity_id.as_deref() }
    }

    async fn handle(call: &Call<'_>, input: Input) -> Result<Output, Failure> {
        let caller = call.caller.as_ref().ok_or(Refusal::NotAuthorized)?;
        let by_developer = matches!(caller, Caller::Developer { .. });
        if by_developer && !call.app.config.allow_developer_updates {
            return Err(Refusal::DeveloperUpdates.into());
        }
        let at = call
            .dataset(
                input.identity_pool_id.as_deref(),
                input.identity_id.as_deref(),
                input.dataset_name.as_deref(),
            )
            .await?;
        let limits = &call.app.config.limits;
        let device = input.device_id.as_deref().map(DeviceId::parse).transpose()?;
        let patches = patches(input.record_patches.unwrap_or_default(), limits)?;
        let token = required("syncSessionToken", input.sync_session_token.as_deref())?;
        let request = update_records::UpdateRecords {
            session: open_session(call, token)?,
            writer: writer(caller, device.as_ref(), &call.app.config.account_id),
            patches,
            at,
        };
        let keys = request.patches.keys();
        let records = attempt(call.app, &request.at, || async {
            let view = call.app.store.dataset(&request.at, &keys).await?;
            match update_records::decide(&view, call.now, &request, limits) {
                Ok(Decision::Nothing) => Ok(Step::Answer(Vec::new())),
                Ok(Decision::Apply { changes, records }) => Ok(Step::Commit(changes, records)),
                Err(refusal) => {
                    if let Refusal::StaleRecord { .. } | Refusal::DatasetDeleted(_) = refusal {
                        call.app.metrics.conflict();
                    }
                    Err(refusal.into())
                }
            }
        })
        .await?;
        Ok(Output { records: records.into_iter().map(super::record).collect() })
    }
}

/// Opens a sync session token; whether it fits the request is for the rules to say.
pub(super) fn open_session(call: &Call<'_>, token: &str) -> Result<Session, Refusal> {
    let opened = call.app.sealer.open_text(Purpose::SyncSession, token);
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
        // Whatever value comes with a removal is ignored: the JS manager sends an empty one.
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
