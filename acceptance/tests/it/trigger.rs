//! The sync trigger over Lambda with real Python handlers, and over HTTP: the function's input, its possible
//! changes, and its failures, each of which is reported with the API's error and stores nothing.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use carryall_acceptance::api::{encoded, succeeded, text};
use carryall_acceptance::peers::{Answer, Fault, FaultProxy, MiniStack, Receiver};
use carryall_acceptance::{Api, Device, DeviceSettings, Guest, Response, Server, ServerSettings, Store};
use serde_json::{Map, Value, json};

/// Python functions by the dataset that they serve. A function that returns nothing answers with the event as
/// it left it.
const HANDLERS: &str = r#"
import json, os, sys, time

def echo(event, records):
    records["event"] = {"newValue": json.dumps(event)}

def edits(event, records):
    records["patched"]["newValue"] += " by the function"
    records["reverted"]["newValue"] = records["reverted"]["oldValue"]
    records["removed"] = {"newValue": "kept", "op": "replace"}
    records["changed"]["newValue"] = "changed"
    records["by-op"]["op"] = "remove"
    records["by-value"]["newValue"] = None
    records["by-record"] = None
    records["added"] = {"newValue": "added", "op": "replace"}
    records["without-op"] = {"newValue": ""}

def sparing(event, records):
    event["datasetRecords"] = {key: records[key] for key in records if key.startswith("kept")}

def nothing(event, records):
    event["datasetRecords"] = {}

def counting(event, records):
    records["seen"] = {"newValue": str(len([key for key in records if key != "seen"]))}

def managed(event, records):
    records.pop("refused", None)
    records["name"]["newValue"] = records["name"]["newValue"].strip()
    records["greeting"] = {"newValue": "hello " + records["name"]["newValue"]}
    if "obsolete" in records:
        records["obsolete"]["op"] = "remove"

def long_key(event, records): records["k" * 1025] = {"newValue": "x"}
def empty_key(event, records): records[""] = {"newValue": "x"}
def long_value(event, records): records["a"]["newValue"] = "secret" * 20
def many(event, records): records.update({str(n): {"newValue": "x"} for n in range(8)})
def large(event, records): records.update({str(n): {"newValue": "x" * 90} for n in range(4)})
def changed_version(event, records): event["version"] = 3
def changed_type(event, records): event["eventType"] = "Other"
def changed_region(event, records): event["region"] = "eu-central-1"
def changed_pool(event, records): event["identityPoolId"] += "0"
def changed_identity(event, records): event["identityId"] = None
def changed_dataset(event, records): event["datasetName"] = "other"
def missing_version(event, records): del event["version"]
def missing_identity(event, records): del event["identityId"]
def records_of_text(event, records): event["datasetRecords"] = "secret"
def text(event, records): return "secret"
def listed(event, records): return [event]
def listed_record(event, records): records["a"] = ["x", "replace"]
def null(event, records): return json.loads("{}")
def nested(event, records): records["a"]["newValue"] = {"secret": 1}
def unknown_op(event, records): records["a"]["op"] = "delete"
def raises(event, records): raise ValueError("no such colour")
def exits(event, records): os._exit(3)
def leaves(event, records): sys.exit(0)
def hangs(event, records): time.sleep(8)

def handler(event, context):
    answer = globals()[event["datasetName"]](event, event["datasetRecords"])
    return event if answer is None else answer
"#;

const UNUSABLE: &str = "InvalidLambdaFunctionOutputException";

/// A server whose calls to Lambda go through a fault proxy, and a guest of a pool with a trigger.
struct Site {
    server: Server,
    proxy: FaultProxy,
    guest: Guest,
    function: String,
    /// The number of times that the server was to check that the function can be called. Each setting of the
    /// function causes one dry run.
    checks: Cell<usize>,
}

impl Site {
    /// With a function of a name that no other test has.
    fn with(store: Store, name: &str, configuration: &str) -> Self {
        let ministack = MiniStack::shared();
        let function = ministack.deploy(name, HANDLERS, 10);
        let proxy = FaultProxy::before(ministack.address());
        let settings = ServerSettings::default()
            .configuration(configuration)
            .acting_as(ministack.root())
            .endpoint_of("LAMBDA", &proxy.endpoint_url());
        let server = Server::start_with(store, settings);
        let guest = server.api().new_user(&server.root());
        let site = Self { server, proxy, guest, function, checks: Cell::new(0) };
        site.set();
        site
    }

    fn api(&self) -> Api {
        self.server.api()
    }

    /// Sets the function as the trigger of the guest's pool, and waits until the server has checked it.
    fn set(&self) {
        set_trigger(&self.server, &self.guest.pool, &self.function);
        self.checks.set(self.checks.get() + 1);
        self.wait_for_calls(self.calls());
    }

    /// Removes the trigger.
    fn unset(&self) {
        set_trigger(&self.server, &self.guest.pool, "");
    }

    /// Waits until the function was called this many times.
    fn wait_for_calls(&self, count: usize) {
        self.proxy.wait_for(&self.invocation(), count + self.checks.get());
    }

    /// The fault proxy's name for calls of the function.
    fn invocation(&self) -> String {
        invocation_of(&self.function)
    }

    /// The number of calls of the function, without the checks.
    fn calls(&self) -> usize {
        self.proxy.count(&self.invocation()).saturating_sub(self.checks.get())
    }

    /// Stores records that the function does not see.
    fn store(&self, dataset: &str, patches: &Value) {
        self.unset();
        succeeded(&self.api().update(&self.guest, dataset, patches));
        self.set();
    }

    fn update(&self, dataset: &str, patches: &Value) -> Response {
        self.api().update(&self.guest, dataset, patches)
    }

    fn state(&self, dataset: &str) -> Value {
        state(self.api(), &self.guest, dataset)
    }
}

fn set_trigger(server: &Server, pool: &str, function: &str) {
    let path = format!("/identitypools/{}/events", encoded(pool));
    let body = json!({ "Events": { "SyncTrigger": function } });
    succeeded(&server.api().sync(Some(&server.root()), "POST", &path, Some(&body)));
}

fn invocation_of(function: &str) -> String {
    format!("POST /2015-03-31/functions/{}/invocations", encoded(function))
}

/// The dataset's records with their counts, and the dataset's count.
fn state(api: Api, guest: &Guest, dataset: &str) -> Value {
    let listed = api.list(guest, dataset);
    json!({ "count": listed["DatasetSyncCount"], "records": counted(&listed["Records"]) })
}

/// Each record as its key with value and count.
fn counted(records: &Value) -> Value {
    let records = records.as_array().unwrap();
    let pair = |record: &Value| (text(&record["Key"]), json!([record["Value"], record["SyncCount"]]));
    let map: Map<String, Value> = records.iter().map(pair).collect();
    assert_eq!(map.len(), records.len(), "a key comes twice: {records:?}");
    Value::Object(map)
}

fn answered(response: &Response) -> Value {
    counted(&succeeded(response)["Records"])
}

fn replace(key: &str, value: &str, count: u64) -> Value {
    json!({ "Op": "replace", "Key": key, "Value": value, "SyncCount": count })
}

fn remove(key: &str, count: u64) -> Value {
    json!({ "Op": "remove", "Key": key, "SyncCount": count })
}

fn replace_all(keys: &[&str], value: &str, count: u64) -> Value {
    keys.iter().map(|key| replace(key, value, count)).collect()
}

/// An update under a session that began earlier.
fn update_under(api: Api, guest: &Guest, dataset: &str, session: &str, patches: &Value) -> Response {
    let body = json!({ "SyncSessionToken": session, "RecordPatches": patches });
    api.sync(Some(&guest.caller), "POST", &guest.dataset(dataset), Some(&body))
}

#[test]
fn the_function_is_shown_every_record_and_what_the_update_makes_of_it() {
    let site = Site::with(Store::Memory, "echo", "");
    site.store("echo", &replace_all(&["a", "b", "untouched", "gone"], "old", 0));
    site.store("echo", &json!([remove("gone", 1)]));
    let patches =
        json!([replace("a", "new", 1), remove("b", 1), replace("gone", "back", 2), replace("fresh", "", 0)]);
    let answer = answered(&site.update("echo", &patches));

    let event: Value = serde_json::from_str(answer["event"][0].as_str().unwrap()).unwrap();
    let shown = |old: Option<&str>, new: Option<&str>, op: &str| json!({ "oldValue": old, "newValue": new, "op": op });
    let expected = json!({
        "version": 2,
        "eventType": "SyncTrigger",
        "region": "us-east-1",
        "identityPoolId": site.guest.pool,
        "identityId": site.guest.identity,
        "datasetName": "echo",
        "datasetRecords": {
            "a": shown(Some("old"), Some("new"), "replace"),
            "b": shown(Some("old"), None, "remove"),
            "untouched": shown(Some("old"), Some("old"), "replace"),
            "gone": shown(None, Some("back"), "replace"),
            "fresh": shown(None, Some(""), "replace"),
        },
    });
    assert_eq!(event, expected);
    let (values, event) = (json!(["new", 3]), &answer["event"]);
    let expected =
        json!({ "a": values, "b": [null, 3], "gone": ["back", 3], "fresh": ["", 3], "event": event });
    assert_eq!(answer, expected);

    let removal = answered(&site.update("echo", &json!([remove("never", 0)])));
    let event: Value = serde_json::from_str(removal["event"][0].as_str().unwrap()).unwrap();
    assert_eq!(event["datasetRecords"]["never"], shown(None, None, "remove"));
    assert_eq!(event["datasetRecords"].get("b"), None, "what was removed before is no record");
}

#[test]
fn the_function_may_change_add_and_remove_any_record() {
    for (store, name) in [(Store::Memory, "edits"), (Store::Embedded, "edits-stored")] {
        let site = Site::with(store, name, "");
        let keys =
            ["patched", "reverted", "removed", "changed", "by-op", "by-value", "by-record", "untouched"];
        site.store("edits", &replace_all(&keys, "old", 0));
        let patches =
            json!([replace("patched", "new", 1), replace("reverted", "new", 1), remove("removed", 1)]);
        let response = site.update("edits", &patches);
        let mut expected = json!({
            "patched": ["new by the function", 2],
            "reverted": ["old", 2],
            "removed": ["kept", 2],
            "changed": ["changed", 2],
            "by-op": [null, 2],
            "by-value": [null, 2],
            "by-record": [null, 2],
            "added": ["added", 2],
            "without-op": ["", 2],
        });
        assert_eq!(answered(&response), expected);
        let records = response.json()["Records"].clone();
        for record in records.as_array().unwrap() {
            assert_eq!(record["LastModifiedBy"], records[0]["LastModifiedBy"]);
            assert!(record["LastModifiedDate"].is_number() && record["DeviceLastModifiedDate"].is_number());
        }
        expected["untouched"] = json!(["old", 1]);
        assert_eq!(site.state("edits"), json!({ "count": 2, "records": expected }));
        assert_eq!(site.calls(), 1);
    }
}

#[test]
fn what_the_function_leaves_out_is_not_applied_and_answered_as_it_stands() {
    let site = Site::with(Store::Memory, "sparing", "");
    site.store("sparing", &replace_all(&["kept", "dropped", "removed", "untouched"], "old", 0));
    let patches = json!([
        replace("kept", "new", 1),
        replace("dropped", "new", 1),
        remove("removed", 1),
        replace("kept-too", "new", 0),
        replace("never", "new", 0),
    ]);
    let expected = json!({
        "kept": ["new", 2],
        "kept-too": ["new", 2],
        "dropped": ["old", 1],
        "removed": ["old", 1],
        "never": [null, 0],
    });
    assert_eq!(answered(&site.update("sparing", &patches)), expected);
    let records = json!({
        "kept": ["new", 2], "kept-too": ["new", 2], "dropped": ["old", 1], "removed": ["old", 1], "untouched": ["old", 1],
    });
    assert_eq!(site.state("sparing"), json!({ "count": 2, "records": records }));
}

#[test]
fn an_answer_without_records_changes_nothing_and_leaves_the_session() {
    let site = Site::with(Store::Memory, "nothing", "");
    site.store("nothing", &json!([replace("a", "old", 0)]));
    let (api, before) = (site.api(), site.state("nothing"));
    let session = api.session(&site.guest, "nothing");
    let update = |patches: &Value| answered(&update_under(api, &site.guest, "nothing", &session, patches));
    let patches = json!([replace("a", "new", 1), replace("b", "new", 0)]);
    for _ in 0..2 {
        assert_eq!(update(&patches), json!({ "a": ["old", 1], "b": [null, 0] }));
        assert_eq!(site.state("nothing"), before);
    }
    site.unset();
    assert_eq!(update(&patches), json!({ "a": ["new", 2], "b": ["new", 2] }));
    // A dataset that would store nothing is not created.
    site.set();
    api.delete(&site.guest, "nothing");
    site.update("nothing", &json!([replace("a", "new", 0)]));
    let described = api.sync(Some(&site.guest.caller), "GET", &site.guest.dataset("nothing"), None);
    assert_eq!(described.outcome(), (404, "ResourceNotFoundException".to_owned()));
}

/// Answers that cannot be used: the dataset, the error, and what its message names.
const UNUSABLE_ANSWERS: [(&str, &str, &str); 23] = [
    ("long_key", UNUSABLE, "less than or equal to 1024"),
    ("empty_key", UNUSABLE, "greater than or equal to 1"),
    ("long_value", UNUSABLE, "less than or equal to 100"),
    ("many", "LimitExceededException", "records"),
    ("large", "LimitExceededException", "bytes"),
    ("changed_version", UNUSABLE, "'version'"),
    ("changed_type", UNUSABLE, "'eventType'"),
    ("changed_region", UNUSABLE, "'region'"),
    ("changed_pool", UNUSABLE, "'identityPoolId'"),
    ("changed_identity", UNUSABLE, "'identityId'"),
    ("changed_dataset", UNUSABLE, "'datasetName'"),
    ("missing_version", UNUSABLE, "'version'"),
    ("missing_identity", UNUSABLE, "'identityId'"),
    ("records_of_text", UNUSABLE, "not in the form of the event"),
    ("text", UNUSABLE, "not in the form of the event"),
    ("listed", UNUSABLE, "not in the form of the event"),
    ("listed_record", UNUSABLE, "not in the form of the event"),
    ("null", UNUSABLE, "'version'"),
    ("nested", UNUSABLE, "not in the form of the event"),
    ("unknown_op", UNUSABLE, "op of a record in its answer"),
    ("raises", UNUSABLE, "ended with an error"),
    ("exits", UNUSABLE, "ended with an error"),
    ("leaves", UNUSABLE, "ended with an error"),
];

/// Expects that an update is refused, with a text that reveals neither values nor the function's address,
/// with one call of the function, and with nothing stored. Returns the session, which must not be used up.
fn refuses(site: &Site, dataset: &str, refusal: (u16, &str, &str)) -> String {
    let (status, name, hint) = refusal;
    let (api, before, calls) = (site.api(), site.state(dataset), site.calls());
    let session = api.session(&site.guest, dataset);
    let patches = json!([replace("a", "new", 1)]);
    let answer = update_under(api, &site.guest, dataset, &session, &patches);
    assert_eq!(answer.outcome(), (status, name.to_owned()), "{dataset}: {}", answer.text());
    assert_eq!(answer.get("x-amzn-errortype"), Some(&*format!("{name}:")), "{dataset}");
    let message = answer.message();
    assert!(message.contains(hint), "{dataset}: {message}");
    for private in ["secret", "918273645546", "127.0.0.1", "arn:", "colour"] {
        assert!(!message.contains(private), "{dataset} tells {private}: {message}");
    }
    assert_eq!(site.state(dataset), before, "{dataset}");
    assert!(site.calls() <= calls + 1, "{dataset}: called {} times", site.calls() - calls);
    session
}

/// Expects that the sessions are still valid for an update once the trigger is removed.
fn sessions_are_left(site: &Site, sessions: &[(&str, String)]) {
    site.unset();
    for (dataset, session) in sessions {
        let patches = json!([replace("a", "after", 1)]);
        let answer = update_under(site.api(), &site.guest, dataset, session, &patches);
        assert_eq!(answered(&answer), json!({ "a": ["after", 2] }), "{dataset}");
    }
}

#[test]
fn an_answer_that_cannot_be_used_is_told_and_nothing_is_stored() {
    let limits = "[limits]\ndatasets_per_identity_max = 40\nvalue_bytes_max = 100\n\
                  records_per_dataset_max = 6\ndataset_bytes_max = 300\n";
    let site = Site::with(Store::Memory, "unusable", limits);
    site.unset();
    for (dataset, _, _) in UNUSABLE_ANSWERS {
        site.api().put(&site.guest, dataset, "a", "old", 0);
    }
    site.set();
    let sessions: Vec<(&str, String)> = UNUSABLE_ANSWERS
        .into_iter()
        .map(|(dataset, name, hint)| (dataset, refuses(&site, dataset, (400, name, hint))))
        .collect();
    assert_eq!(site.calls(), UNUSABLE_ANSWERS.len(), "each is tried once");
    sessions_are_left(&site, &sessions);
    let log = site.server.log();
    assert!(log.contains("no such colour"), "the log has the function's message: {log}");
    assert!(!log.contains("secret") && !log.contains("918273645546"), "{log}");
}

#[test]
fn a_function_that_cannot_be_called_is_told_and_nothing_is_stored() {
    let site = Site::with(Store::Memory, "uncallable", "");
    site.store("echo", &json!([replace("a", "old", 0)]));
    let invocation = site.invocation();
    let throttled = (429, "LambdaThrottledException", "try again");
    let mut sessions = Vec::new();
    let mut refuses = |refusal| sessions.push(("echo", refuses(&site, "echo", refusal)));
    let answered = |fault| site.proxy.set_for_next(1, &invocation, fault);

    answered(Fault::Answer(Answer::status(200).body("not json")));
    refuses((400, UNUSABLE, "not in the form of the event"));
    answered(Fault::json_error(429, "TooManyRequestsException"));
    refuses(throttled);
    answered(Fault::json_error(500, "ServiceException"));
    refuses((400, UNUSABLE, "cannot be reached"));
    answered(Fault::json_error(403, "AccessDeniedException"));
    refuses((400, UNUSABLE, "may not be called"));
    answered(Fault::HangUp);
    refuses((400, UNUSABLE, "cannot be reached"));
    answered(Fault::LoseAnswer);
    refuses((400, UNUSABLE, "cannot be reached"));
    site.proxy.refuse(true);
    refuses((400, UNUSABLE, "cannot be reached"));
    site.proxy.refuse(false);
    MiniStack::shared().throttle("uncallable");
    refuses(throttled);
    MiniStack::shared().let_through("uncallable");
    MiniStack::shared().delete_function("uncallable");
    refuses((400, UNUSABLE, "does not exist"));
    sessions_are_left(&site, &sessions[..1]);
}

#[test]
fn a_function_that_takes_too_long_is_given_up_within_the_limit() {
    let site = Site::with(Store::Memory, "hangs", "[trigger]\nmilliseconds_max = 600\n");
    site.store("hangs", &json!([replace("a", "old", 0)]));
    let refusal = (400, "LambdaSocketTimeoutException", "within 600 ms");
    let mut sessions = Vec::new();
    for silent in [false, true] {
        if silent {
            site.proxy.set(Fault::Silence);
        }
        let begun = Instant::now();
        sessions.push(("hangs", refuses(&site, "hangs", refusal)));
        let took = begun.elapsed();
        println!("a call with 600 ms was given up after {took:?}, listing twice included");
        assert!((Duration::from_millis(600)..Duration::from_millis(2600)).contains(&took), "{took:?}");
    }
    assert_eq!(site.calls(), 2);
    sessions_are_left(&site, &sessions[..1]);
}

#[test]
fn a_function_is_called_with_the_servers_own_rights() {
    let ministack = MiniStack::shared_checking();
    let function = ministack.deploy("guarded", HANDLERS, 10);
    let update = |user: &str, actions: &[&str]| {
        let settings = ServerSettings::default()
            .acting_as(&ministack.create_user(user, actions))
            .endpoint_of("LAMBDA", &ministack.endpoint_url());
        let server = Server::start_with(Store::Memory, settings);
        let guest = server.api().new_user(&server.root());
        set_trigger(&server, &guest.pool, &function);
        server.api().update(&guest, "counting", &json!([replace("a", "1", 0)]))
    };
    let allowed = update("invoker", &["lambda:InvokeFunction"]);
    assert_eq!(answered(&allowed), json!({ "a": ["1", 1], "seen": ["1", 1] }));
    let refused = update("bystander", &["lambda:ListFunctions"]);
    assert_eq!(refused.outcome(), (400, UNUSABLE.to_owned()), "{}", refused.text());
    assert!(refused.message().contains("may not be called"), "{}", refused.message());
    assert!(!refused.message().contains("bystander"), "{}", refused.message());
}

#[test]
fn developers_updates_are_not_shown_to_the_function() {
    let site = Site::with(Store::Memory, "developers", "allow_developer_updates = true\n");
    let developer = Guest { caller: site.server.root(), ..site.guest.clone() };
    let update = |as_whom: &Guest, patch| answered(&site.api().update(as_whom, "counting", &json!([patch])));
    assert_eq!(update(&developer, replace("a", "1", 0)), json!({ "a": ["1", 1] }));
    assert_eq!(site.calls(), 0);
    assert_eq!(update(&site.guest, replace("b", "1", 0)), json!({ "b": ["1", 2], "seen": ["2", 2] }));
    assert_eq!(site.calls(), 1);
}

#[test]
fn what_is_refused_or_empty_anyway_is_not_shown_to_the_function() {
    let site = Site::with(Store::Memory, "unasked", "");
    site.store("counting", &json!([replace("a", "1", 0)]));
    let (api, guest) = (site.api(), &site.guest);
    let used = api.session(guest, "counting");
    let update = |dataset: &str, session: &str, patches: Value| {
        update_under(api, guest, dataset, session, &patches).outcome()
    };
    assert_eq!(update("counting", &used, json!([replace("a", "2", 1)])), (200, String::new()));
    let fresh = api.session(guest, "counting");
    let calls = site.calls();
    let conflict = || (409, "ResourceConflictException".to_owned());
    let invalid = || (400, "InvalidParameterException".to_owned());
    assert_eq!(update("counting", &fresh, json!([replace("a", "3", 1)])), conflict());
    assert_eq!(update("counting", &fresh, json!([replace("b", "3", 9)])), conflict());
    assert_eq!(update("counting", &used, json!([replace("a", "3", 2)])), invalid());
    assert_eq!(update("counting", "forged", json!([replace("a", "3", 2)])), invalid());
    assert_eq!(update("other", &fresh, json!([replace("a", "3", 0)])), invalid());
    assert_eq!(update("counting", &fresh, json!([replace("", "3", 0)])), invalid());
    let sibling = api.new_guest(&guest.pool);
    let foreign = Guest { caller: sibling.caller.clone(), ..guest.clone() };
    let answer = update_under(api, &foreign, "counting", &fresh, &json!([replace("a", "3", 2)]));
    assert_eq!(answer.outcome(), (403, "NotAuthorizedException".to_owned()));
    assert_eq!(update("counting", &fresh, json!([])), (200, String::new()));
    api.delete(guest, "counting");
    assert_eq!(update("counting", &fresh, json!([replace("a", "3", 2)])), conflict());
    assert_eq!(site.calls(), calls, "the function was called for nothing");
}

#[test]
fn an_update_that_another_device_overtook_is_shown_again_as_it_is_then() {
    let site = Site::with(Store::Memory, "overtaken", "");
    site.store("counting", &json!([replace("a", "1", 0), replace("b", "1", 0)]));
    let (api, guest, invocation) = (site.api(), &site.guest, site.invocation());
    let overtaken = |slow: Value, quick: Value| {
        let calls = site.calls();
        site.proxy.set_for_next(1, &invocation, Fault::Slow { delay_milliseconds: 700 });
        thread::scope(|scope| {
            let slow = scope.spawn(move || api.update(guest, "counting", &slow));
            site.wait_for_calls(calls + 1);
            let quick = api.update(guest, "counting", &quick);
            assert_eq!(site.calls(), calls + 2, "the quick one took too long");
            (slow.join().unwrap(), quick, site.calls() - calls)
        })
    };

    let (slow, quick, calls) = overtaken(json!([replace("a", "2", 1)]), json!([replace("c", "1", 0)]));
    assert_eq!(answered(&quick), json!({ "c": ["1", 2], "seen": ["3", 2] }));
    assert_eq!(
        answered(&slow),
        json!({ "a": ["2", 3] }),
        "the function saw the three records, and set nothing"
    );
    assert_eq!(calls, 3);
    let records = json!({ "a": ["2", 3], "b": ["1", 1], "c": ["1", 2], "seen": ["3", 2] });
    assert_eq!(site.state("counting"), json!({ "count": 3, "records": records }));

    let (slow, quick, calls) = overtaken(json!([replace("b", "slow", 1)]), json!([replace("b", "quick", 1)]));
    assert_eq!(answered(&quick), json!({ "b": ["quick", 4] }));
    assert_eq!(slow.outcome(), (409, "ResourceConflictException".to_owned()), "{}", slow.text());
    assert_eq!(calls, 2, "a count that is stale by now is not shown to the function");
}

#[test]
fn an_update_that_is_overtaken_again_and_again_is_given_up() {
    let site = Site::with(Store::Memory, "outrun", "allow_developer_updates = true\n");
    let (api, guest, invocation) = (site.api(), &site.guest, site.invocation());
    let developer = Guest { caller: site.server.root(), ..site.guest.clone() };
    let session = api.session(guest, "counting");
    site.proxy.set_for(&invocation, Fault::Slow { delay_milliseconds: 500 });
    let refused = thread::scope(|scope| {
        let patches = json!([replace("a", "1", 0)]);
        let session = &session;
        let (report, ended) = mpsc::channel();
        scope.spawn(move || report.send(update_under(api, guest, "counting", session, &patches)));
        let mut attempts = 0;
        loop {
            if let Ok(answer) = ended.try_recv() {
                return answer;
            }
            if site.calls() > attempts {
                attempts = site.calls();
                assert!(attempts < 20, "not bounded");
                api.put(&developer, "counting", &format!("other-{attempts}"), "1", 0);
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    });
    assert_eq!(refused.outcome(), (429, "TooManyRequestsException".to_owned()), "{}", refused.text());
    let attempts = site.calls();
    println!("given up after {attempts} calls of the function");
    let state = site.state("counting");
    assert_eq!(state["count"], json!(attempts), "each time the other device alone was stored");
    assert_eq!(state["records"].get("a"), None);
    site.proxy.set(Fault::None);
    let again = update_under(api, guest, "counting", &session, &json!([replace("a", "1", 0)]));
    assert_eq!(answered(&again)["a"], json!(["1", attempts + 1]), "the session is still good");
}

/// Runs `meanwhile` while an update of the guest's dataset waits for its function, and returns the update's answer.
fn while_it_works(site: &Site, meanwhile: impl FnOnce()) -> Response {
    let (api, guest, invocation, calls) = (site.api(), &site.guest, site.invocation(), site.calls());
    site.proxy.set_for_next(1, &invocation, Fault::Slow { delay_milliseconds: 2000 });
    thread::scope(|scope| {
        let slow = scope.spawn(move || api.update(guest, "counting", &json!([replace("slow", "1", 0)])));
        site.wait_for_calls(calls + 1);
        let begun = Instant::now();
        meanwhile();
        println!("what went on meanwhile took {:?}", begun.elapsed());
        assert!(!slow.is_finished(), "it waited for the slow function: {:?}", begun.elapsed());
        slow.join().unwrap()
    })
}

#[test]
fn nothing_waits_for_a_slow_function_but_its_own_update() {
    let site = Site::with(Store::Memory, "slow", "");
    site.store("counting", &json!([replace("a", "1", 0)]));
    let (api, guest) = (site.api(), &site.guest);
    let (sibling, stranger) = (api.new_guest(&guest.pool), api.new_user(&site.server.root()));
    let slow = while_it_works(&site, || {
        assert_eq!(site.state("counting"), json!({ "count": 1, "records": { "a": ["1", 1] } }));
        succeeded(&api.sync(Some(&guest.caller), "GET", &guest.dataset("counting"), None));
        api.put(&stranger, "counting", "a", "1", 0);
        api.put(&stranger, "other", "a", "1", 0);
        api.put(&sibling, "counting", "a", "1", 0);
        succeeded(&api.update(guest, "nothing", &json!([replace("a", "1", 0)])));
        api.delete(&stranger, "other");
    });
    assert_eq!(answered(&slow), json!({ "slow": ["1", 2], "seen": ["2", 2] }));
}

#[test]
fn calls_of_one_function_at_a_time_are_bounded_without_touching_others() {
    let site = Site::with(Store::Memory, "bounded", "[trigger]\ncalls_per_function_max = 1\n");
    let other = MiniStack::shared().deploy("bounded-other", HANDLERS, 10);
    let api = site.api();
    let (sibling, stranger) = (api.new_guest(&site.guest.pool), api.new_user(&site.server.root()));
    set_trigger(&site.server, &stranger.pool, &other);
    site.proxy.wait_for(&invocation_of(&other), 1);
    let user_of_same = api.new_user(&site.server.root());
    set_trigger(&site.server, &user_of_same.pool, &site.function);
    site.checks.set(site.checks.get() + 1);
    site.wait_for_calls(0);
    let patches = json!([replace("a", "1", 0)]);
    let calls = site.calls();
    let slow = while_it_works(&site, || {
        for refused in [&sibling, &user_of_same] {
            let second = api.update(refused, "counting", &patches);
            assert_eq!(second.outcome(), (429, "LambdaThrottledException".to_owned()), "{}", second.text());
        }
        assert_eq!(answered(&api.update(&stranger, "counting", &patches))["seen"], json!(["1", 1]));
        assert_eq!(site.proxy.count(&invocation_of(&other)), 2, "a check and a call");
    });
    assert_eq!(answered(&slow)["seen"], json!(["1", 1]));
    assert_eq!(site.calls(), calls + 1, "what has no place is not called");
    assert_eq!(answered(&api.update(&sibling, "counting", &patches))["seen"], json!(["1", 1]));
    for (outcome, count) in [("ok", 3.0), ("throttled", 2.0)] {
        let counted = site.server.metric("carryall_trigger_calls_total", outcome);
        assert!((counted - count).abs() < 0.5, "{counted} {outcome}");
    }
}

#[test]
fn calls_of_all_functions_leave_half_of_the_places_to_other_requests() {
    let site = Site::with(
        Store::Memory,
        "half",
        "[limits]\nconcurrent_requests_max = 3\nrequests_per_source_max = 3\n",
    );
    let other = MiniStack::shared().deploy("half-other", HANDLERS, 10);
    let api = site.api();
    let stranger = api.new_user(&site.server.root());
    set_trigger(&site.server, &stranger.pool, &other);
    site.proxy.wait_for(&invocation_of(&other), 1);
    let patches = json!([replace("a", "1", 0)]);
    let slow = while_it_works(&site, || {
        let second = api.update(&stranger, "counting", &patches);
        assert_eq!(second.outcome(), (429, "LambdaThrottledException".to_owned()), "{}", second.text());
        assert_eq!(api.list(&stranger, "counting")["DatasetSyncCount"], 0);
    });
    assert_eq!(answered(&slow)["seen"], json!(["1", 1]));
    assert_eq!(answered(&api.update(&stranger, "counting", &patches))["seen"], json!(["1", 1]));
}

#[test]
fn a_sync_manager_ends_up_with_what_the_function_made_of_its_data() {
    let site = Site::with(Store::Memory, "managed", "");
    let mut device = Device::start(&site.server, &site.guest.pool, &DeviceSettings::default());
    let same = DeviceSettings { identity: Some(device.identity().to_owned()), ..DeviceSettings::default() };
    let mut other = Device::start(&site.server, &site.guest.pool, &same);
    for (key, value) in [("name", " Ada "), ("obsolete", "x"), ("plain", "p")] {
        device.put("managed", key, value);
    }
    device.synchronize("managed");
    let live = |device: &mut Device| {
        let all = device.get_all("managed");
        let live = all.as_object().unwrap().iter().filter(|(_, value)| *value != "");
        live.map(|(key, value)| (key.clone(), value.clone())).collect::<Map<String, Value>>()
    };
    let expected = json!({ "name": "Ada", "greeting": "hello Ada", "plain": "p" });
    assert_eq!(Value::Object(live(&mut device)), expected);
    other.synchronize("managed");
    assert_eq!(Value::Object(live(&mut other)), expected);

    let calls = site.calls();
    device.synchronize("managed");
    assert_eq!(site.calls(), calls, "what the function changed is no change of the device's");
    other.put("managed", "name", "Grace ");
    other.synchronize("managed");
    device.synchronize("managed");
    let expected = json!({ "name": "Grace", "greeting": "hello Grace", "plain": "p" });
    for device in [&mut device, &mut other] {
        assert_eq!(Value::Object(live(device)), expected);
    }
    device.put("managed", "name", "Joan");
    device.put("managed", "refused", "x");
    device.synchronize("managed");
    let calls = site.calls();
    device.synchronize("managed");
    assert_eq!(site.calls(), calls, "what the function leaves out is not pushed for ever");
    assert_eq!(live(&mut device)["greeting"], "hello Joan");
}

const SECRET: &str = "a secret of the receiver's and the server's";
const POOL: &str = "us-east-1:0a1b2c3d-0000-4000-8000-000000000000";

/// A server whose only pool has, by its configuration file, a trigger at the receiver.
fn with_receiver(receiver: &Receiver) -> Server {
    let configuration = format!(
        "[trigger]\nmilliseconds_max = 600\n\
         [[trigger_destinations]]\nname = 'validate'\nurl = '{}'\nsecret_env = 'CARRYALL_HOOK_SECRET'\n\
         [[pools]]\nid = '{POOL}'\nname = 'hooked'\nallow_guests = true\n\
         [pools.events]\nSyncTrigger = 'validate'\n",
        receiver.url("/validate")
    );
    let settings = ServerSettings::default().configuration(&configuration);
    Server::start_with(Store::Memory, settings.variable("CARRYALL_HOOK_SECRET", SECRET))
}

#[test]
fn a_trigger_of_ones_own_over_http_is_signed_and_its_answer_used() {
    let receiver = Receiver::start();
    let server = with_receiver(&receiver);
    let (api, guest) = (server.api(), server.api().new_guest(POOL));
    assert_eq!(receiver.wait_for(1)[0].request.method, "HEAD", "the server looks whether anybody is there");
    let record = json!({ "oldValue": null, "newValue": "sent", "op": "replace" });
    let mut event = json!({
        "version": 2, "eventType": "SyncTrigger", "region": "us-east-1", "identityPoolId": POOL,
        "identityId": guest.identity, "datasetName": "prefs", "datasetRecords": { "a": record },
    });
    let mut answer = event.clone();
    answer["datasetRecords"] = json!({ "a": { "newValue": "edited" }, "b": { "newValue": "added" } });
    receiver.answer_next(Answer::status(200).body(answer.to_string()));
    let update = || api.update(&guest, "prefs", &json!([replace("a", "sent", 0)]));
    assert_eq!(answered(&update()), json!({ "a": ["edited", 1], "b": ["added", 1] }));
    let received = receiver.wait_for(2).swap_remove(1);
    assert_eq!((received.request.method.as_str(), received.path()), ("POST", "/validate"));
    assert_eq!(received.request.get("content-type"), Some("application/json"));
    assert!(received.is_signed_with(SECRET) && !received.is_signed_with("another"));
    assert!(received.request.get("carryall-event-id").is_some());
    assert_eq!(received.json(), event);

    // Only a plain success with an answer of the event's form counts.
    let update = || api.update(&guest, "prefs", &json!([replace("c", "sent", 0)]));
    event["datasetRecords"]["c"] = json!({ "newValue": "late" });
    let before = state(api, &guest, "prefs");
    let whole = Answer::status(200).body(event.to_string());
    let moved = Answer { status: 307, ..whole.clone() }.header("Location", &receiver.url("/validate"));
    let throttled = Answer { status: 429, ..whole.clone() };
    for (answer, status, name) in [
        (Answer { status: 500, ..whole.clone() }, 400, UNUSABLE),
        (Answer { status: 404, ..whole.clone() }, 400, UNUSABLE),
        (moved, 400, UNUSABLE),
        (Answer::status(204), 400, UNUSABLE),
        (Answer::status(200).body("<html>"), 400, UNUSABLE),
        (Answer::status(200).body(" ".repeat(9 << 20)), 400, UNUSABLE),
        (throttled, 429, "LambdaThrottledException"),
        (whole.clone().after_milliseconds(1500), 400, "LambdaSocketTimeoutException"),
    ] {
        let (said, calls) = (answer.status, receiver.received().len());
        receiver.answer_next(answer);
        let refused = update();
        assert_eq!(refused.outcome(), (status, name.to_owned()), "{said}: {}", refused.text());
        assert!(!refused.message().contains("127.0.0.1"), "{}", refused.message());
        assert_eq!(receiver.received().len(), calls + 1, "{said}: one attempt");
    }
    receiver.refuse(true);
    assert_eq!(update().outcome(), (400, UNUSABLE.to_owned()));
    receiver.refuse(false);
    assert_eq!(state(api, &guest, "prefs"), before);
    receiver.answer_next(whole);
    assert_eq!(answered(&update())["c"], json!(["late", 2]));
}
