//! Settings, the data directory, the banner, and stopping.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::server::{Home, Server, carryall, one_answer, printed, refused, rest, run};

fn secret_in(credentials: &str) -> &str {
    credentials.lines().find_map(|line| line.strip_prefix("aws_secret_access_key = ")).unwrap()
}

#[test]
fn the_first_start_makes_private_keys_and_shows_the_secret_that_one_time() {
    let home = Home::new();
    let server = home.serve(&[]);
    let credentials = std::fs::read_to_string(home.data().join("credentials")).unwrap();
    let secret = secret_in(&credentials).to_owned();
    // A comment with the check value comes first.
    assert!(credentials.starts_with('#'), "{credentials}");
    assert!(credentials.contains("\n[default]\naws_access_key_id = AKIA"), "{credentials}");
    assert!(server.banner.contains(&secret));
    assert!(server.banner.contains(home.data().to_str().unwrap()));
    for file in ["master.key", "credentials", "control.sock"] {
        let mode = std::fs::metadata(home.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert!(server.logged.iter().all(|line| !line.contains(&secret)));
    assert_eq!(server.stop(), Some(0));
    assert!(!home.data().join("control.sock").exists());

    let again = home.serve(&[]);
    assert!(!again.banner.contains(&secret));
    assert_eq!(std::fs::read_to_string(home.data().join("credentials")).unwrap(), credentials);
}

#[test]
fn port_0_is_printed_as_the_port_that_was_taken() {
    let server = Home::new().serve(&[]);
    assert_ne!(server.address.port(), 0);
    let line = format!("listening on http://{}", server.address);
    assert!(server.banner.lines().any(|printed| printed == line), "{}", server.banner);
    assert!(server.get("/health/live").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let home = Home::new();
    let file = home.file("c.toml", "region = 'eu-west-1'\naccount_id = '111111111111'\n");
    let shown = |command| {
        let server = Server::start(command);
        let line = server.banner.lines().find(|line| line.contains("region, account")).unwrap();
        line.trim().trim_start_matches("region, account").trim().to_owned()
    };
    let base = ["serve", "--store", "memory:", "--listen", "127.0.0.1:0"];
    assert_eq!(shown(carryall(&base)), "us-east-1, 000000000000");
    let with_file = || {
        let mut command = carryall(&base);
        command.env("CARRYALL_CONFIG", &file);
        command
    };
    assert_eq!(shown(with_file()), "eu-west-1, 111111111111");
    let mut environment = with_file();
    environment.env("CARRYALL_REGION", "eu-north-1");
    assert_eq!(shown(environment), "eu-north-1, 111111111111");
    let mut flag = with_file();
    flag.env("CARRYALL_REGION", "eu-north-1").args(["--region", "eu-south-1"]);
    assert_eq!(shown(flag), "eu-south-1, 111111111111");
}

#[test]
fn keys_of_the_environment_are_used_and_not_written() {
    let home = Home::new();
    let store = home.store();
    let mut command = carryall(&["serve", "--store", &store, "--listen", "127.0.0.1:0"]);
    command
        .env("CARRYALL_ROOT_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
        .env("CARRYALL_ROOT_SECRET_ACCESS_KEY", "a-secret-of-the-environment")
        .env("CARRYALL_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let server = Server::start(command);
    assert!(server.banner.contains("AKIAAAAAAAAAAAAAAAAA"));
    assert!(!server.banner.contains("a-secret-of-the-environment"));
    for file in ["master.key", "credentials"] {
        assert!(!home.data().join(file).exists(), "{file}");
    }
}

#[test]
fn an_unknown_key_of_the_file_is_refused_with_its_line() {
    let home = Home::new();
    let file = home.file("c.toml", "region = 'eu-west-1'\nlistne = '127.0.0.1:0'\n");
    let told = refused(&run(&["serve", "--config", &file]));
    assert!(told.contains("line 2") && told.contains("listne") && told.contains(&file), "{told}");
}

#[test]
fn a_second_server_on_a_directory_is_refused() {
    let home = Home::new();
    let _server = home.serve(&[]);
    let told = refused(&run(&["serve", "--store", &home.store(), "--listen", "127.0.0.1:0"]));
    assert!(told.contains("in use") && told.contains(home.data().to_str().unwrap()), "{told}");
}

#[test]
fn a_wrong_master_key_is_refused_and_so_is_a_lost_one() {
    let home = Home::new();
    assert_eq!(home.serve(&[]).stop(), Some(0));
    let store = home.store();
    let mut command = carryall(&["serve", "--store", &store, "--listen", "127.0.0.1:0"]);
    command.env("CARRYALL_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    let told = refused(&command.output().unwrap());
    assert!(told.contains("master key"), "{told}");
    let kept = home.data().join("master.key");
    std::fs::rename(&kept, home.path().join("elsewhere")).unwrap();
    let told = refused(&run(&["serve", "--store", &store, "--listen", "127.0.0.1:0"]));
    assert!(told.contains("master.key is missing"), "{told}");
    assert!(!kept.exists());
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let told = refused(&run(&["serve", "--store", "memory:", "--listen", &address, "--log", "error"]));
    assert!(told.contains(&address), "{told}");
}

#[test]
fn only_an_address_that_others_reach_warns_of_each_insecure_default() {
    let warnings = |server: &Server| {
        server.logged.iter().filter(|line| line.contains("WARN") && line.contains("insecure default")).count()
    };
    assert_eq!(warnings(&Home::new().serve(&[])), 0);
    assert_eq!(warnings(&Home::new().serve(&["--listen", "127.0.0.2:0"])), 0);
    let open = |command| warnings(&Server::start(command));
    let base = ["serve", "--store", "memory:", "--listen", "0.0.0.0:0"];
    assert_eq!(open(carryall(&base)), 3);
    let mut with_keys = carryall(&base);
    with_keys
        .env("CARRYALL_ROOT_ACCESS_KEY_ID", "AKIAAAAAAAAAAAAAAAAA")
        .env("CARRYALL_ROOT_SECRET_ACCESS_KEY", "secret")
        .env("CARRYALL_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    assert_eq!(open(with_keys), 1);
}

#[test]
fn probes_and_metrics_are_answered_unsigned() {
    let server = Home::new().serve(&[]);
    let ready = server.get("/health/ready");
    assert!(ready.starts_with("HTTP/1.1 200 OK") && ready.contains("\r\nDate: "), "{ready}");
    let refused = server.get("/nowhere");
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    assert!(refused.to_ascii_lowercase().contains("x-amzn-requestid: "), "{refused}");
    let page = server.get("/metrics");
    for name in ["carryall_requests_total{", "carryall_request_duration_seconds_bucket", "carryall_store_"] {
        assert!(page.contains(name), "{name} in {page}");
    }
}

#[test]
fn a_pool_of_the_settings_is_made_once_and_left_alone_after() {
    let home = Home::new();
    let seed = |name: &str| {
        home.file(
            "c.toml",
            &format!("[[pools]]\nid = 'us-east-1:0'\nname = '{name}'\nallow_guests = false\n"),
        )
    };
    assert_eq!(home.serve(&["--config", &seed("first")]).stop(), Some(0));
    assert_eq!(home.serve(&["--config", &seed("second")]).stop(), Some(0));
    let shown = printed(&["pool", "list", "--store", &home.store()]);
    assert_eq!(shown, "us-east-1:0  no guests  first\n");
}

#[test]
fn a_request_in_flight_is_answered_before_the_server_stops() {
    let mut server = Home::new().serve(&[]);
    let mut idle = server.connect();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(one_answer(&mut idle).starts_with("HTTP/1.1 200"));
    let mut busy = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Expect: 100-continue\r\nContent-Length: 28\r\n\r\n";
    busy.write_all(head.as_bytes()).unwrap();
    // The server asks for the body, so the request has begun.
    let mut asked = [0; 25];
    std::io::Read::read_exact(&mut busy, &mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    server.signal(Signal::TERM);
    server.wait_for_log("stopping");
    // An idle connection is closed at once.
    assert_eq!(rest(&mut idle), "");
    busy.write_all(b"Action=No&Version=2011-06-15").unwrap();
    let answer = rest(&mut busy);
    assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("<RequestId>"), "{answer}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut server = Home::new().serve(&[]);
    let mut busy = server.connect();
    busy.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").unwrap();
    let mut asked = [0; 25];
    std::io::Read::read_exact(&mut busy, &mut asked).unwrap();
    server.signal(Signal::INT);
    server.wait_for_log("stopping");
    server.signal(Signal::TERM);
    assert_eq!(server.wait(), Some(1));
}
