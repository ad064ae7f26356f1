//! Operator commands, on a store that they open and through a running server.

use serde_json::Value;

use crate::server::{Home, carryall, printed, refused, run, succeeded};

fn json(arguments: &[&str]) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["--output", "json"]);
    serde_json::from_str(&printed(&all)).unwrap()
}

/// Creates, shows and deletes a pool and a key.
fn a_round_of_verbs(home: &Home) {
    let store = home.store();
    let on = |verb: &[&str]| {
        let mut all: Vec<String> = verb.iter().map(ToString::to_string).collect();
        all.extend(["--store".to_owned(), store.clone()]);
        all
    };
    let json = |verb: &[&str]| json(&on(verb).iter().map(String::as_str).collect::<Vec<_>>());
    let run = |verb: &[&str]| run(&on(verb).iter().map(String::as_str).collect::<Vec<_>>());

    let id = "us-east-1:0a1b2c3d-0000-4000-8000-000000000000";
    let pool = json(&["pool", "create", "--name", "My app", "--id", id]);
    assert_eq!(pool["IdentityPoolId"], id);
    assert_eq!(pool["IdentityPoolName"], "My app");
    assert_eq!(pool["AllowUnauthenticatedIdentities"], true);
    let told = refused(&run(&["pool", "create", "--name", "Again", "--id", id]));
    assert!(told.contains(id) && told.contains("exists already"), "{told}");
    let told = refused(&run(&["pool", "create", "--name", "Far", "--id", "eu-west-1:0"]));
    assert!(told.contains("--region eu-west-1"), "{told}");
    let made = json(&["pool", "create", "--name", "Closed", "--no-guests"]);
    assert_eq!(made["AllowUnauthenticatedIdentities"], false);
    let made = made["IdentityPoolId"].as_str().unwrap();
    assert!(made.starts_with("us-east-1:"), "{made}");
    let listed = json(&["pool", "list"]);
    assert_eq!(listed["IdentityPools"].as_array().unwrap().len(), 2);
    let shown = json(&["pool", "show", id]);
    assert_eq!(shown["IdentityPoolName"], "My app");
    assert_eq!(shown["NotInEffect"], Value::Array(vec![]));
    let shown = succeeded(&run(&["pool", "show", id]));
    assert!(shown.contains("SyncSessionsCount") && shown.contains("none yet"), "{shown}");
    for pool in [id, made] {
        let deleted = json(&["pool", "delete", pool]);
        assert_eq!((&deleted["IdentityPoolId"], &deleted["DataStorage"]), (&pool.into(), &0.into()));
    }
    let told = refused(&run(&["pool", "delete", id]));
    assert!(told.contains(id) && told.contains("does not exist"), "{told}");

    let key = json(&["key", "create", "--description", "for the tests"]);
    let key_id = key["AccessKeyId"].as_str().unwrap();
    assert_eq!(key["SecretAccessKey"].as_str().unwrap().len(), 40);
    let listed = json(&["key", "list"]);
    assert_eq!(listed["AccessKeys"][0]["AccessKeyId"], key_id);
    assert_eq!(listed["AccessKeys"][0]["Description"], "for the tests");
    assert!(!listed.to_string().contains(key["SecretAccessKey"].as_str().unwrap()));
    assert_eq!(json(&["key", "revoke", key_id])["AccessKeyId"], key_id);
    let told = refused(&run(&["key", "revoke", key_id]));
    assert!(told.contains(key_id), "{told}");
    assert_eq!(succeeded(&run(&["key", "list"])), "");
}

#[test]
fn verbs_work_on_a_store_that_nobody_has_open() {
    let home = Home::new();
    a_round_of_verbs(&home);
    // The first start still shows the secret of the root key: commands generate none.
    let server = home.serve(&[]);
    assert!(server.banner.contains("AWS_SECRET_ACCESS_KEY"), "{}", server.banner);
}

#[test]
fn verbs_work_through_a_running_server() {
    let home = Home::new();
    let server = home.serve(&[]);
    a_round_of_verbs(&home);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn verbs_reach_a_server_whose_directory_has_a_very_long_path() {
    let home = Home::new();
    let deep = home.path().join("a-folder-with-a-long-name".repeat(5)).join("data");
    let store = format!("embedded:{}", deep.display());
    let server =
        crate::server::Server::start(carryall(&["serve", "--store", &store, "--listen", "127.0.0.1:0"]));
    let pool = json(&["pool", "create", "--name", "p", "--store", &store]);
    assert!(pool["IdentityPoolId"].is_string());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_store_in_memory_cannot_be_reached_by_verbs() {
    let told = refused(&run(&["pool", "list", "--store", "memory:"]));
    assert!(told.contains("memory:"), "{told}");
}

#[test]
fn env_prints_exports_that_a_shell_takes_with_the_port_that_was_chosen() {
    let home = Home::new();
    let store = home.store();
    let told = refused(&run(&["env", "--store", &store]));
    assert!(told.contains("serve"), "{told}");
    let server = home.serve(&[]);
    let arguments = ["env", "--store", &store, "--listen", "127.0.0.1:0", "--region", "us-east-1"];
    let script = format!("{}\nprintf '%s %s' \"$AWS_ENDPOINT_URL_STS\" \"$AWS_REGION\"", printed(&arguments));
    let shell = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(succeeded(&shell), format!("http://{} us-east-1", server.address));
    let variables = json(&arguments);
    let credentials = std::fs::read_to_string(home.data().join("credentials")).unwrap();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert!(credentials.contains(variables[name].as_str().unwrap()), "{name}");
    }
    for name in ["AWS_ENDPOINT_URL_COGNITO_SYNC", "AWS_ENDPOINT_URL_COGNITO_IDENTITY", "AWS_ENDPOINT_URL_STS"]
    {
        assert_eq!(variables[name], format!("http://{}", server.address));
    }
}

#[test]
fn healthcheck_tells_a_ready_server_from_none() {
    let home = Home::new();
    let store = home.store();
    let server = home.serve(&[]);
    let address = server.address.to_string();
    assert_eq!(printed(&["healthcheck", "--listen", &address]), "ready\n");
    assert_eq!(printed(&["healthcheck", "--listen", "127.0.0.1:0", "--store", &store]), "ready\n");
    assert_eq!(server.stop(), Some(0));
    let told = refused(&run(&["healthcheck", "--listen", &address]));
    assert!(told.contains(&address), "{told}");
}

#[test]
fn completions_are_printed_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(printed(&["completions", shell]).contains("healthcheck"), "{shell}");
    }
}

#[test]
fn a_wrong_command_line_is_refused_in_one_line() {
    for arguments in [&["pool", "show"][..], &["sirve"], &["serve", "--port", "1"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        refused(&output);
    }
}
