//! Two devices of one user, each a process with the unmodified amazon-cognito-js sync manager. They behave
//! the same in a pool with a stream, push and a trigger that changes nothing; they also see the changes that
//! a trigger makes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use carryall_acceptance::{Device, DeviceSettings, Effects, Server, Store};
use serde_json::{Value, json};

use crate::on_every_store;

/// Runs each test on every store, and in pools with effects.
macro_rules! on_every_store_and_with_effects {
    ($($name:ident),+ $(,)?) => {
        on_every_store!($($name),+);
        mod with_effects {
            $(#[test] fn $name() {
                super::$name(&mut carryall_acceptance::Effects::shared().start_server());
            })+
        }
    };
}

on_every_store_and_with_effects!(
    a_value_put_on_one_device_arrives_at_the_other,
    the_first_synchronization_of_an_empty_dataset_succeeds,
    a_conflict_is_resolved_with_the_local_value,
    a_conflict_is_resolved_with_the_remote_value,
    a_conflict_is_resolved_with_a_joined_value,
    an_aborted_conflict_changes_nothing,
    a_removed_key_is_gone_on_the_other_device_and_can_come_back,
    a_key_put_and_removed_before_the_first_synchronization_goes_through,
    an_empty_string_is_synchronized,
    a_dataset_deleted_on_one_device_is_noticed_and_recreated,
    edits_made_apart_on_other_keys_come_together,
    datasets_are_kept_apart,
    a_whole_dataset_of_1024_records_arrives,
    unicode_arrives,
    the_classic_flow_works,
    two_identities_of_a_pool_see_nothing_of_each_other,
    a_device_restarted_with_its_store_goes_on_where_it_was,
);

struct Devices {
    pool: String,
    first: Device,
    second: Device,
}

fn new_pool(server: &Server) -> String {
    let pool = server.api().new_pool(&server.root());
    Effects::lay_over(server, &pool);
    pool
}

/// Two devices of one fresh identity.
fn two_devices(server: &Server) -> Devices {
    let pool = new_pool(server);
    let first = Device::start(server, &pool, &DeviceSettings::default());
    let second = Device::start(server, &pool, &same_identity(&first));
    assert_eq!(first.identity(), second.identity());
    Devices { pool, first, second }
}

fn same_identity(device: &Device) -> DeviceSettings {
    DeviceSettings { identity: Some(device.identity().to_owned()), ..DeviceSettings::default() }
}

/// Both devices hold `base` for the key, then the first pushes `first` and the second edits to `second`.
fn conflicting_devices(server: &Server) -> Devices {
    let mut devices = two_devices(server);
    devices.first.put("prefs", "theme", "base");
    devices.first.synchronize("prefs");
    devices.second.synchronize("prefs");
    devices.first.put("prefs", "theme", "first");
    devices.first.synchronize("prefs");
    devices.second.put("prefs", "theme", "second");
    devices
}

fn conflict_of_theme() -> Value {
    json!([{ "conflict": [{ "key": "theme", "local": "second", "remote": "first" }] }])
}

fn value_of(device: &mut Device, key: &str) -> Option<String> {
    // The manager returns a removed record as the empty string or not at all, depending on its version.
    device.get("prefs", key).filter(|value| !value.is_empty())
}

fn a_value_put_on_one_device_arrives_at_the_other(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    first.put("prefs", "theme", "dark");
    first.synchronize("prefs");
    assert_eq!(value_of(&mut second, "theme"), None);
    second.synchronize("prefs");
    assert_eq!(value_of(&mut second, "theme").as_deref(), Some("dark"));
    second.put("prefs", "theme", "light");
    second.synchronize("prefs");
    first.synchronize("prefs");
    assert_eq!(value_of(&mut first, "theme").as_deref(), Some("light"));
}

fn the_first_synchronization_of_an_empty_dataset_succeeds(server: &mut Server) {
    let Devices { mut first, .. } = two_devices(server);
    first.synchronize("prefs");
    first.synchronize("prefs");
    assert_eq!(first.get_all("prefs"), json!({}));
}

fn a_conflict_is_resolved_with_the_local_value(server: &mut Server) {
    let Devices { mut first, mut second, .. } = conflicting_devices(server);
    let answer = second.try_synchronize("prefs", "local");
    assert_eq!((&answer["outcome"], &answer["events"]), (&json!("success"), &conflict_of_theme()));
    first.synchronize("prefs");
    for device in [&mut first, &mut second] {
        assert_eq!(value_of(device, "theme").as_deref(), Some("second"));
    }
}

fn a_conflict_is_resolved_with_the_remote_value(server: &mut Server) {
    let Devices { mut first, mut second, .. } = conflicting_devices(server);
    let answer = second.try_synchronize("prefs", "remote");
    assert_eq!((&answer["outcome"], &answer["events"]), (&json!("success"), &conflict_of_theme()));
    first.synchronize("prefs");
    for device in [&mut first, &mut second] {
        assert_eq!(value_of(device, "theme").as_deref(), Some("first"));
    }
}

fn a_conflict_is_resolved_with_a_joined_value(server: &mut Server) {
    let Devices { mut first, mut second, .. } = conflicting_devices(server);
    let answer = second.try_synchronize("prefs", "joined");
    assert_eq!((&answer["outcome"], &answer["events"]), (&json!("success"), &conflict_of_theme()));
    first.synchronize("prefs");
    for device in [&mut first, &mut second] {
        assert_eq!(value_of(device, "theme").as_deref(), Some("first+second"));
    }
}

fn an_aborted_conflict_changes_nothing(server: &mut Server) {
    let Devices { mut first, mut second, .. } = conflicting_devices(server);
    let answer = second.try_synchronize("prefs", "abort");
    assert_eq!((&answer["outcome"], &answer["events"]), (&json!("failure"), &conflict_of_theme()));
    first.synchronize("prefs");
    assert_eq!(value_of(&mut first, "theme").as_deref(), Some("first"));
    assert_eq!(value_of(&mut second, "theme").as_deref(), Some("second"));
}

fn a_removed_key_is_gone_on_the_other_device_and_can_come_back(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    first.put("prefs", "theme", "dark");
    first.put("prefs", "size", "12");
    first.synchronize("prefs");
    second.synchronize("prefs");
    first.remove("prefs", "theme");
    first.synchronize("prefs");
    second.synchronize("prefs");
    assert_eq!(value_of(&mut second, "theme"), None);
    assert_eq!(value_of(&mut second, "size").as_deref(), Some("12"));
    second.put("prefs", "theme", "back");
    second.synchronize("prefs");
    first.synchronize("prefs");
    assert_eq!(value_of(&mut first, "theme").as_deref(), Some("back"));
}

fn a_key_put_and_removed_before_the_first_synchronization_goes_through(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    first.put("prefs", "gone", "x");
    first.remove("prefs", "gone");
    first.put("prefs", "kept", "y");
    first.synchronize("prefs");
    second.synchronize("prefs");
    assert_eq!(value_of(&mut second, "gone"), None);
    assert_eq!(value_of(&mut second, "kept").as_deref(), Some("y"));
    // The manager keeps the key; using it again must work on both devices.
    first.put("prefs", "gone", "again");
    first.synchronize("prefs");
    second.synchronize("prefs");
    assert_eq!(value_of(&mut second, "gone").as_deref(), Some("again"));
}

fn an_empty_string_is_synchronized(server: &mut Server) {
    // The manager cannot tell the empty string from a removal; what counts is that it does not get stuck.
    let Devices { mut first, mut second, .. } = two_devices(server);
    first.put("prefs", "note", "");
    first.synchronize("prefs");
    second.synchronize("prefs");
    first.put("prefs", "note", "text");
    first.synchronize("prefs");
    second.synchronize("prefs");
    assert_eq!(value_of(&mut second, "note").as_deref(), Some("text"));
}

fn a_dataset_deleted_on_one_device_is_noticed_and_recreated(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    first.put("prefs", "old", "1");
    first.synchronize("prefs");
    second.synchronize("prefs");
    first.delete("prefs");
    let answer = first.try_synchronize("prefs", "abort");
    assert_eq!(answer["outcome"], "success", "{answer}");

    let noticed = second.try_synchronize("prefs", "abort");
    assert_eq!(noticed["outcome"], "failure", "{noticed}");
    assert_eq!(noticed["events"], json!([{ "deleted": "prefs" }]));

    first.put("prefs", "new", "2");
    first.synchronize("prefs");
    // The dataset was recreated meanwhile: a device that has not seen the deletion still learns of it, and
    // then starts over.
    let noticed = second.try_synchronize("prefs", "abort");
    assert_eq!(noticed["events"], json!([{ "deleted": "prefs" }]), "{noticed}");
    second.forget("prefs");
    second.synchronize("prefs");
    assert_eq!(second.get_all("prefs"), json!({ "new": "2" }));
    second.put("prefs", "old", "3");
    second.synchronize("prefs");
    first.synchronize("prefs");
    assert_eq!(first.get_all("prefs"), json!({ "new": "2", "old": "3" }));
}

fn edits_made_apart_on_other_keys_come_together(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    first.put("prefs", "shared", "0");
    first.synchronize("prefs");
    second.synchronize("prefs");
    for number in 0..5 {
        first.put("prefs", &format!("first-{number}"), "1");
        second.put("prefs", &format!("second-{number}"), "2");
    }
    first.synchronize("prefs");
    second.synchronize("prefs");
    first.synchronize("prefs");
    let all = first.get_all("prefs");
    assert_eq!(all.as_object().unwrap().len(), 11);
    assert_eq!(all, second.get_all("prefs"));
}

fn datasets_are_kept_apart(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    let names = ["prefs", "notes", "a:b_c-d.e", "prefsuffix"];
    for name in names {
        first.put(name, "name", name);
        first.synchronize(name);
    }
    for name in names {
        second.synchronize(name);
        assert_eq!(second.get_all(name), json!({ "name": name }));
    }
    let answer = second.ask(&json!({ "do": "remoteDatasets" }));
    let mut listed: Vec<&str> = answer["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dataset| dataset["name"].as_str().unwrap())
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, ["a:b_c-d.e", "notes", "prefs", "prefsuffix"]);
}

fn a_whole_dataset_of_1024_records_arrives(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    let values: BTreeMap<String, String> =
        (0..1024).map(|n| (format!("key-{n}"), format!("value {n}"))).collect();
    first.ask(&json!({ "do": "putAll", "dataset": "prefs", "values": values }));
    first.synchronize("prefs");
    second.synchronize("prefs");
    assert_eq!(second.get_all("prefs"), json!(values));
}

fn unicode_arrives(server: &mut Server) {
    let Devices { mut first, mut second, .. } = two_devices(server);
    let key = "A-z_0.9:".repeat(16);
    let value = "\u{0}\u{1}\t\n\"\\ \u{7f} é e\u{301} \u{2028} 漢字 \u{1f9f3} \u{10ffff}";
    assert_eq!(key.len(), 128);
    first.put("prefs", &key, value);
    first.synchronize("prefs");
    second.synchronize("prefs");
    assert_eq!(second.get("prefs", &key).as_deref(), Some(value));
}

fn the_classic_flow_works(server: &mut Server) {
    let pool = new_pool(server);
    let classic = DeviceSettings { classic_flow: true, ..DeviceSettings::default() };
    let mut first = Device::start(server, &pool, &classic);
    first.put("prefs", "theme", "dark");
    first.synchronize("prefs");
    // The other device of the same identity takes the enhanced flow; both flows lead to the same data.
    let mut second = Device::start(server, &pool, &same_identity(&first));
    second.synchronize("prefs");
    assert_eq!(value_of(&mut second, "theme").as_deref(), Some("dark"));
}

fn two_identities_of_a_pool_see_nothing_of_each_other(server: &mut Server) {
    let Devices { pool, mut first, .. } = two_devices(server);
    let mut other = Device::start(server, &pool, &DeviceSettings::default());
    assert_ne!(first.identity(), other.identity());
    first.put("prefs", "theme", "dark");
    first.synchronize("prefs");
    other.synchronize("prefs");
    assert_eq!(other.get_all("prefs"), json!({}));
}

fn a_device_restarted_with_its_store_goes_on_where_it_was(server: &mut Server) {
    let Devices { pool, mut first, second } = two_devices(server);
    drop(second);
    let file: PathBuf = server.directory().join("device.json");
    let settings = DeviceSettings { file: Some(file), ..same_identity(&first) };
    let mut kept = Device::start(server, &pool, &settings);
    first.put("prefs", "a", "1");
    first.synchronize("prefs");
    kept.synchronize("prefs");
    kept.put("prefs", "offline", "2");
    drop(kept);

    first.put("prefs", "a", "3");
    first.synchronize("prefs");
    let mut kept = Device::start(server, &pool, &settings);
    assert_eq!(kept.get_all("prefs"), json!({ "a": "1", "offline": "2" }));
    kept.synchronize("prefs");
    first.synchronize("prefs");
    for device in [&mut first, &mut kept] {
        assert_eq!(device.get_all("prefs"), json!({ "a": "3", "offline": "2" }));
    }
}

#[test]
fn devices_go_on_after_the_server_was_restarted_or_killed() {
    let mut server = Server::start(Store::Embedded);
    let Devices { mut first, mut second, .. } = two_devices(&server);
    for (round, end) in [Server::stop, Server::kill].into_iter().enumerate() {
        let value = format!("before {round}");
        first.put("prefs", "theme", &value);
        first.synchronize("prefs");
        end(&mut server);
        second.put("prefs", "offline", &value);
        let failed = second.try_synchronize("prefs", "abort");
        assert_eq!(failed["outcome"], "failure", "{failed}");

        server.restart();
        second.synchronize("prefs");
        first.synchronize("prefs");
        for device in [&mut first, &mut second] {
            assert_eq!(device.get_all("prefs"), json!({ "theme": value, "offline": value }));
        }
    }
}

/// Changes values to upper case, adds a record, and removes one.
const EDITOR: &str = r#"
def handler(event, context):
    records = event["datasetRecords"]
    for key, record in records.items():
        if record["op"] == "replace":
            record["newValue"] = record["newValue"].upper()
    if "forbidden" in records:
        records["forbidden"] = {"op": "remove"}
    records["stamp"] = {"newValue": "BY THE TRIGGER", "op": "replace"}
    return event
"#;

#[test]
fn devices_see_exactly_what_the_trigger_made_of_an_update() {
    let server = Effects::shared().with_function("effects-editor", EDITOR).start_server();
    let Devices { mut first, mut second, .. } = two_devices(&server);
    first.put("prefs", "theme", "dark");
    first.put("prefs", "size", "large");
    first.put("prefs", "forbidden", "word");
    first.synchronize("prefs");
    second.synchronize("prefs");
    let edited = json!({ "theme": "DARK", "size": "LARGE", "stamp": "BY THE TRIGGER" });
    assert_eq!(visible(&mut second), edited);
    first.synchronize("prefs");
    assert_eq!(visible(&mut first), edited);

    second.put("prefs", "theme", "light");
    second.synchronize("prefs");
    first.synchronize("prefs");
    for device in [&mut first, &mut second] {
        let expected = json!({ "theme": "LIGHT", "size": "LARGE", "stamp": "BY THE TRIGGER" });
        assert_eq!(visible(device), expected);
    }
}

/// The local copy without the manager's markers of removed records.
fn visible(device: &mut Device) -> Value {
    let mut all = device.get_all("prefs");
    all.as_object_mut().unwrap().retain(|_, value| value.as_str().is_some_and(|text| !text.is_empty()));
    all
}
