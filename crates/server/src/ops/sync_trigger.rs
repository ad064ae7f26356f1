//! The sync trigger: a function that sees, and may edit, an update before it is stored. It is called between
//! load and decide while nothing is held, neither a turn nor a store call (`docs/protocol.md` section 9.2).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use carryall_core::ids::RecordKey;
use carryall_core::limits::Limits;
use carryall_core::model::{DatasetRef, Record};
use carryall_core::rules::patches::Patches;
use carryall_core::rules::sync_trigger::{self, Triggered, Wanted};
use carryall_core::violation::{Constraint, Violation};
use carryall_outbound::{AnswerMemory, TriggerEvent, TriggerPort, TriggerUndelivered};
use carryall_wire::effects::sync_trigger::{EventRecord, SyncTriggerEvent};

use crate::app::App;
use crate::capacity::{SMALL_BYTES_MAX, off_the_worker};
use crate::failure::{Failure, TriggerFailure};
use crate::metrics::ServerLimit;

/// The JSON that shows `patches` to a function, with the stored `records` of their dataset.
pub fn event_json(
    app: &App,
    at: &DatasetRef,
    records: &[Record],
    patches: &Patches,
) -> Result<Bytes, Failure> {
    let shown = sync_trigger::show(records, patches)
        .into_iter()
        .map(|(key, shown)| (key.as_str().to_owned(), EventRecord::new(shown.old_value, shown.new_value)))
        .collect();
    let json = serde_json::to_vec(&event(app, at, shown));
    json.map(Bytes::from).map_err(|error| Failure::Unmodelled(error.to_string()))
}

fn event(app: &App, at: &DatasetRef, shown: BTreeMap<String, EventRecord>) -> SyncTriggerEvent {
    let DatasetRef { owner, name } = at;
    let (pool, identity) = (owner.pool.id.as_str(), owner.identity.as_str());
    SyncTriggerEvent::new(&app.config.region, pool, identity, name.as_str(), shown)
}

/// Sends the event `json` of `patches` and `records` to the function, and returns the update as the function
/// leaves it. `pay` charges the caller for the function's answer, given its size so far.
pub async fn call<F: Future<Output = Result<(), Failure>>>(
    app: &App,
    function: &str,
    at: &DatasetRef,
    json: Bytes,
    (records, patches): (&[Record], &Patches),
    pay: impl Fn(usize) -> F,
) -> Result<Triggered, Failure> {
    let outcome = match invoke(app, function, at, json, pay).await? {
        Ok(answer) => {
            let read = || read(app, at, &answer, (records, patches));
            if answer.len() > SMALL_BYTES_MAX { off_the_worker(read) } else { read() }
        }
        Err(failure) => Err(failure),
    };
    let label = match &outcome {
        Ok(_) => "ok",
        Err(TriggerFailure::Throttled { .. }) => "throttled",
        Err(TriggerFailure::TimedOut { .. }) => "timed_out",
        Err(TriggerFailure::Unusable { .. }) => "unusable",
    };
    app.metrics.effects.trigger_called(label);
    outcome.map_err(Failure::Trigger)
}

/// Calls the function. The outer failure is the caller's lack of memory.
async fn invoke<F: Future<Output = Result<(), Failure>>>(
    app: &App,
    function: &str,
    at: &DatasetRef,
    json: Bytes,
    pay: impl Fn(usize) -> F,
) -> Result<Result<Bytes, TriggerFailure>, Failure> {
    let destination = app.outbound.trigger_place(at.owner.pool.id.as_str(), function);
    let Some(_permit) = app.capacity.call_trigger(&destination) else {
        app.metrics.limit_hit(ServerLimit::TriggerCalls);
        let cause =
            "trigger.calls_per_function_max calls are in progress, or functions have half of all requests";
        return Ok(Err(TriggerFailure::Throttled { cause: cause.to_owned() }));
    };
    let time_max = Duration::from_millis(app.config.trigger.milliseconds_max.get().into());
    let port = app.outbound.trigger(at.owner.pool.id.as_str(), function);
    let event_id = app.clock.uuid().to_string();
    let answer = paid_answer(&*port, TriggerEvent { event_id, json }, time_max, pay).await?;
    Ok(answer.map_err(undelivered))
}

/// The answer of `port`, whose memory is paid while it arrives. The wait for memory counts as the function's
/// time.
async fn paid_answer<F: Future<Output = Result<(), Failure>>>(
    port: &dyn TriggerPort,
    event: TriggerEvent,
    time_max: Duration,
    pay: impl Fn(usize) -> F,
) -> Result<Result<Bytes, TriggerUndelivered>, Failure> {
    let (memory, mut asked) = AnswerMemory::new();
    let answered = async {
        let mut answer = port.invoke(event, time_max, memory);
        loop {
            tokio::select! {
                answer = &mut answer => return Ok(answer),
                Some(asked) = asked.recv() => {
                    pay(asked.bytes).await?;
                    asked.grant();
                }
            }
        }
    };
    let milliseconds_max = u64::try_from(time_max.as_millis()).unwrap_or(u64::MAX);
    let timed_out = |_| Ok(Err(TriggerUndelivered::TimedOut { milliseconds_max }));
    tokio::time::timeout(time_max, answered).await.unwrap_or_else(timed_out)
}

/// Reads the function's answer, and applies it to `patches`.
fn read(
    app: &App,
    at: &DatasetRef,
    answer: &[u8],
    (records, patches): (&[Record], &Patches),
) -> Result<Triggered, TriggerFailure> {
    // The records of the event need not be kept during the call: an answer may change them all.
    let answered = event(app, at, BTreeMap::new())
        .read_answer(answer)
        .map_err(|trouble| unusable(&format!("{trouble}."), "the answer is not usable".to_owned()))?;
    let wanted = wanted(answered, &app.config.rules).map_err(|violation| unconstrained(&violation))?;
    sync_trigger::apply(records, patches, wanted).map_err(|violation| unconstrained(&violation))
}

/// The records of the answer, checked by the constraints of a client's records.
fn wanted(answered: BTreeMap<String, Option<String>>, limits: &Limits) -> Result<Wanted, Violation> {
    let record = |(key, value): (String, Option<String>)| {
        let key = RecordKey::parse("datasetRecords.key", &key, limits.key_bytes_max)?;
        if value.as_ref().is_some_and(|value| value.len() > limits.value_bytes_max) {
            let constraint = Constraint::LengthMax(limits.value_bytes_max as u64);
            return Err(Violation::new(
                format!("datasetRecords.{}.newValue", key.shown()),
                "(not repeated)",
                constraint,
            ));
        }
        Ok((key, value))
    };
    answered.into_iter().map(record).collect()
}

/// The failure of an answer whose records break a constraint. The caller learns which; the log, which shows
/// no keys, has only the constraint.
fn unconstrained(violation: &Violation) -> TriggerFailure {
    let cause = format!("its answer breaks a constraint: {}", violation.constraint);
    unusable(&format!("it breaks a constraint: {violation}"), cause)
}

fn unusable(told: &str, cause: String) -> TriggerFailure {
    TriggerFailure::Unusable { told: told.to_owned(), cause }
}

/// The failure of a call. Its text for the caller names neither function nor host, which only the operator
/// may know.
fn undelivered(undelivered: TriggerUndelivered) -> TriggerFailure {
    match undelivered {
        TriggerUndelivered::Throttled { cause } => TriggerFailure::Throttled { cause },
        TriggerUndelivered::TimedOut { milliseconds_max } => TriggerFailure::TimedOut { milliseconds_max },
        TriggerUndelivered::FunctionError { cause } => unusable("it ended with an error.", cause),
        TriggerUndelivered::Unreachable { cause } => unusable("it cannot be reached.", cause),
        TriggerUndelivered::Gone { cause } => unusable("it does not exist, or may not be called.", cause),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use carryall_outbound::{Checked, Outcome};

    use super::*;

    /// A function with a large answer, which is never read whole.
    struct Large;

    impl TriggerPort for Large {
        fn invoke(
            &self,
            _event: TriggerEvent,
            _time_max: Duration,
            memory: AnswerMemory,
        ) -> Outcome<'_, Bytes, TriggerUndelivered> {
            Box::pin(async move {
                memory.ask_for(1024 * 1024).await;
                pending().await
            })
        }

        fn check(&self) -> Checked<'_> {
            Box::pin(async { Vec::new() })
        }
    }

    #[tokio::test]
    async fn a_function_whose_answer_waits_for_memory_runs_out_of_time() {
        let event = TriggerEvent { event_id: "e".to_owned(), json: Bytes::new() };
        let answer = paid_answer(&Large, event, Duration::from_millis(10), |_| pending()).await;
        let Ok(Err(TriggerUndelivered::TimedOut { milliseconds_max: 10 })) = answer else {
            panic!("{answer:?}");
        };
    }

    #[test]
    fn the_functions_records_have_the_constraints_of_a_clients() {
        let limits = Limits { key_bytes_max: 2, value_bytes_max: 3, ..Limits::default() };
        let answered = |key: &str, value: &str| {
            wanted(BTreeMap::from([(key.to_owned(), Some(value.to_owned()))]), &limits)
        };
        assert!(answered("ab", "abc").is_ok());
        assert!(answered("abc", "a").unwrap_err().member.contains("key"));
        assert!(answered("", "a").is_err());
        let long = answered("a", "secret").unwrap_err();
        assert!(!long.to_string().contains("secret"));
    }

    #[test]
    fn a_key_that_the_function_answers_is_cut_for_the_caller_and_absent_from_the_log() {
        let key = "private ".repeat(20);
        let answered = |value: &str| BTreeMap::from([(key.clone(), Some(value.to_owned()))]);
        for limits in [
            Limits { key_bytes_max: 8, ..Limits::default() },
            Limits { value_bytes_max: 8, ..Limits::default() },
        ] {
            let failure = unconstrained(&wanted(answered("a long value"), &limits).unwrap_err());
            assert!(!format!("{failure:?}").contains("private"), "{failure:?}");
            let TriggerFailure::Unusable { told, .. } = failure else { panic!("unusable") };
            assert!(told.contains(&format!("{}…", &key[..64])) && !told.contains(&key[..65]), "{told}");
        }
    }
}
