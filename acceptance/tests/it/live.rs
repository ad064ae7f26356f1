//! Live channels: hand-written clients, an application that signs with botocore and a real browser receive
//! each new count, continue after a crash where they were, and are limited in number.

use std::time::{Duration, Instant};

use carryall_acceptance::api::{encoded, text};
use carryall_acceptance::peers::{Answer, Browser, BrowserEvent, Receiver, until};
use carryall_acceptance::{
    Api, Caller, Connection, Guest, Request, Response, Script, Server, Signing, Store,
};
use serde_json::{Value, json};

use crate::on_every_store;

on_every_store!(
    a_channel_tells_of_each_new_count,
    a_channel_begins_with_what_its_client_does_not_know,
    an_application_that_signs_with_botocore_is_told,
);

const QUICK: &str = "[live]\nheartbeat_seconds = 1\n";

/// An open channel.
struct Channel {
    connection: Connection,
    head: Response,
    text: String,
}

impl Channel {
    fn open(api: Api, request: &Request) -> Self {
        let (connection, head) = begun(api, request);
        assert_eq!(head.status, 200, "{}: {}", request.target, head.text());
        Self { connection, head, text: String::new() }
    }

    /// Opens the guest's channel, signed by headers.
    fn of(api: Api, guest: &Guest, dataset: &str) -> Self {
        Self::open(api, &api.signed(&guest.caller, asking(guest, dataset, "")))
    }

    /// The lines up to the next empty one; `None` at the channel's proper end.
    fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let chunk = self.connection.chunk().unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The id and the data of the next event, skipping comments; `None` at the channel's end.
    fn try_event(&mut self) -> Option<(u64, Value)> {
        loop {
            let block = self.block()?;
            if let Some((id, data)) = block.split_once('\n') {
                let id = id.strip_prefix("id: ").unwrap().parse().unwrap();
                return Some((id, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()));
            }
            assert!(block == ":" || block == "retry: 2000", "{block:?}");
        }
    }

    fn event(&mut self) -> (u64, Value) {
        self.try_event().unwrap()
    }

    /// The count of the next event.
    fn count(&mut self) -> u64 {
        self.event().0
    }
}

fn begun(api: Api, request: &Request) -> (Connection, Response) {
    let mut connection = Connection::open(api.address).unwrap();
    let head = connection.begin(request).unwrap();
    (connection, head)
}

/// The unsigned request for a channel.
fn asking(guest: &Guest, dataset: &str, query: &str) -> Request {
    Request::new("GET", format!("{}/changes{query}", guest.dataset(dataset)))
}

fn presigned(api: Api, caller: &Caller, request: Request) -> Request {
    Signing::by(caller, "cognito-sync").query(request, api.address, 600)
}

fn refused(api: Api, request: &Request) -> (u16, String) {
    begun(api, request).1.outcome()
}

/// The server's refusal of a request signed by headers.
fn refused_signed(api: Api, caller: &Caller, request: Request) -> (u16, String) {
    refused(api, &api.signed(caller, request))
}

fn fault(status: u16, name: &str) -> (u16, String) {
    (status, name.to_owned())
}

fn notice(guest: &Guest, dataset: &str, count: u64) -> (u64, Value) {
    let data = json!({
        "source": "cognito-sync",
        "identityPoolId": guest.pool,
        "identityId": guest.identity,
        "datasetName": dataset,
        "syncCount": count.to_string(),
    });
    (count, data)
}

fn are_open(server: &Server, channels: f64) -> bool {
    (server.metric("carryall_live_channels", "") - channels).abs() < 0.5
}

fn a_channel_tells_of_each_new_count(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut own = Channel::of(api, &guest, "prefs");
    assert_eq!(own.head.get("content-type"), Some("text/event-stream"));
    assert_eq!(own.head.get("cache-control"), Some("no-cache"));
    assert!(own.head.get("x-amzn-requestid").is_some() && own.head.get("date").is_some());
    let request = presigned(api, &guest.caller, asking(&guest, "prefs", ""));
    let mut by_url = Channel::open(api, &request);
    let mut by_developer = Channel::open(api, &api.signed(&server.root(), asking(&guest, "prefs", "")));
    let mut elsewhere = Channel::of(api, &guest, "other");
    for channel in [&mut own, &mut by_url, &mut by_developer] {
        assert_eq!(channel.block().as_deref(), Some("retry: 2000"), "nothing is stored yet");
    }
    api.put(&guest, "prefs", "a", "1", 0);
    api.put(&guest, "prefs", "b", "1", 0);
    api.delete(&guest, "prefs");
    api.put(&guest, "prefs", "a", "again", 0);
    api.put(&api.new_guest(&guest.pool), "prefs", "a", "another's", 0);
    api.put(&guest, "other", "a", "1", 0);
    for channel in [&mut own, &mut by_url, &mut by_developer] {
        for count in 1..=4 {
            assert_eq!(channel.event(), notice(&guest, "prefs", count));
        }
    }
    assert_eq!(elsewhere.event(), notice(&guest, "other", 1));

    assert!(are_open(server, 4.0));
    assert!(server.metric("carryall_live_notices_total", "") > 12.5);
    drop((own, by_url, by_developer, elsewhere));
    until("the places are free", || are_open(server, 0.0).then_some(()));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("Changes")).unwrap_or_default();
    assert!(line.contains("200"), "{line}");
    let token = guest.caller.session_token.as_ref().unwrap();
    let signature = request.target.split_once("X-Amz-Signature=").unwrap().1;
    for secret in [token, &encoded(token), signature] {
        assert!(!log.contains(secret), "a secret in the log");
    }
}

fn a_channel_begins_with_what_its_client_does_not_know(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "a", "1", 0);
    api.put(&guest, "prefs", "b", "1", 0);
    let open = |query: &str, last_event_id: Option<&str>| {
        let request = asking(&guest, "prefs", query);
        // A browser adds the header to a URL that was signed without it.
        let request = presigned(api, &guest.caller, request);
        let request = last_event_id.iter().fold(request, |request, id| request.header("Last-Event-ID", *id));
        Channel::open(api, &request)
    };
    let behind = [("", None), ("?lastSyncCount=0", None), ("?lastSyncCount=1", None), ("", Some("1"))];
    let strange = [("", Some("")), ("", Some("x")), ("?lastSyncCount=2", Some("1")), ("?other=2", None)];
    for (query, id) in behind.into_iter().chain(strange) {
        assert_eq!(open(query, id).count(), 2, "{query} {id:?}");
    }
    let abreast = [("?lastSyncCount=2", None), ("", Some("2")), ("?lastSyncCount=0", Some("2"))];
    let mut abreast: Vec<Channel> = abreast.into_iter().map(|(query, id)| open(query, id)).collect();
    api.put(&guest, "prefs", "c", "1", 0);
    for channel in &mut abreast {
        assert_eq!(channel.count(), 3);
    }
    api.delete(&guest, "prefs");
    assert_eq!(open("?lastSyncCount=3", None).count(), 4, "a deletion is news");
    let invalid = ["-1", "x", "", "1.5", "99999999999999999999"];
    for query in invalid.map(|value| format!("?lastSyncCount={value}")) {
        let request = presigned(api, &guest.caller, asking(&guest, "prefs", &query));
        assert_eq!(refused(api, &request), fault(400, "InvalidParameterException"), "{query}");
    }
    let twice = presigned(api, &guest.caller, asking(&guest, "prefs", "?lastSyncCount=1&lastSyncCount=1"));
    assert_eq!(refused(api, &twice), fault(400, "SerializationException"));
}

fn an_application_that_signs_with_botocore_is_told(server: &mut Server) {
    Script::Python("live.py").run(server);
}

#[test]
fn a_browser_is_told_of_each_new_count_and_continues_after_a_crash() {
    let mut server = Server::start(Store::Embedded);
    let page = Receiver::start();
    let html = Answer::status(200).header("Content-Type", "text/html").body("<!doctype html>");
    page.answer_path("/page", html);
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut browser = Browser::visiting(&page.url("/page"));
    let target = presigned(api, &guest.caller, asking(&guest, "prefs", "")).target;
    let source = browser.open(&format!("{}{target}", server.endpoint()), &["message"]);
    assert_eq!(browser.next_report(), BrowserEvent::Open { id: source });
    let told = |browser: &mut Browser| {
        let (r#type, id, data) = browser.next_event();
        assert_eq!(r#type, "message");
        (id.parse::<u64>().unwrap(), serde_json::from_str::<Value>(&data).unwrap())
    };
    api.put(&guest, "prefs", "a", "1", 0);
    assert_eq!(told(&mut browser), notice(&guest, "prefs", 1));
    api.delete(&guest, "prefs");
    assert_eq!(told(&mut browser), notice(&guest, "prefs", 2));
    api.put(&guest, "prefs", "a", "again", 0);
    assert_eq!(told(&mut browser), notice(&guest, "prefs", 3));

    // Changes made while the browser is disconnected are not missed.
    server.kill();
    server.restart();
    api.put(&guest, "prefs", "b", "1", 0);
    api.put(&guest, "prefs", "c", "1", 0);
    let mut known = 3;
    while known < 5 {
        let (count, _) = told(&mut browser);
        assert!(count > known, "{count} after {known}");
        known = count;
    }
    // Counts that it knows are not repeated.
    server.kill();
    server.restart();
    while browser.next_report() != (BrowserEvent::Open { id: source }) {}
    api.put(&guest, "prefs", "d", "1", 0);
    let next = browser.next_report();
    let BrowserEvent::Event { last_event_id, .. } = next else { panic!("{next:?}") };
    assert_eq!(last_event_id, "6");
    server.stop();
}

#[test]
fn a_browser_without_rights_gives_up() {
    let server = Server::start(Store::Memory);
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut browser = Browser::visiting(&format!("{}/health/live", server.endpoint()));
    let request = presigned(api, &guest.caller.forged(), asking(&guest, "prefs", ""));
    let source = browser.open(&format!("{}{}", server.endpoint(), request.target), &["message"]);
    assert_eq!(browser.next_report(), BrowserEvent::Error { id: source, closed: true });
}

#[test]
fn a_quiet_channel_shows_signs_of_life() {
    let server = Server::start_configured(Store::Memory, Some(QUICK));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut channel = Channel::of(api, &guest, "prefs");
    assert_eq!(channel.block().as_deref(), Some("retry: 2000"));
    let begun = Instant::now();
    for _ in 0..3 {
        assert_eq!(channel.block().as_deref(), Some(":"));
    }
    let took = begun.elapsed();
    assert!((Duration::from_millis(2500)..Duration::from_secs(6)).contains(&took), "{took:?}");
    api.put(&guest, "prefs", "a", "1", 0);
    assert_eq!(channel.count(), 1);
}

#[test]
fn scripts_of_allowed_origins_may_read_a_channel() {
    let restricted = "[cors]\nallowed_origins = [\"https://app.example\"]\n";
    for (configuration, origin, allowed) in [
        (None, "https://any.example", Some("*")),
        (Some(restricted), "https://app.example", Some("https://app.example")),
        (Some(restricted), "https://other.example", None),
    ] {
        let server = Server::start_configured(Store::Memory, configuration);
        let api = server.api();
        let guest = api.new_user(&server.root());
        let asking = asking(&guest, "prefs", "").header("Origin", origin);
        let opened = Channel::open(api, &presigned(api, &guest.caller, asking.clone())).head;
        let (_, refused) = begun(api, &asking);
        assert_eq!(refused.outcome(), fault(403, "MissingAuthenticationTokenException"));
        let preflight = Request { method: "OPTIONS".to_owned(), ..asking }
            .header("Access-Control-Request-Method", "GET")
            .header("Access-Control-Request-Headers", "authorization,last-event-id,x-amz-date");
        let preflight = api.send(&preflight);
        assert_eq!(preflight.status, 204);
        for answer in [&opened, &refused, &preflight] {
            assert_eq!(answer.get("access-control-allow-origin"), allowed, "{origin}: {answer:?}");
        }
        let headers = allowed.map(|_| "authorization,last-event-id,x-amz-date");
        assert_eq!(preflight.get("access-control-allow-headers"), headers);
        let exposed = opened.get("access-control-expose-headers").unwrap_or_default();
        assert_eq!(exposed.contains("x-amzn-RequestId"), allowed.is_some());
    }
}

#[test]
fn places_are_bounded_and_free_when_their_client_leaves() {
    let limits = "[live]\nheartbeat_seconds = 1\nsubscribers_max = 3\nsubscribers_per_identity_max = 2\n\
                  subscribers_per_source_max = 3\n";
    let server = Server::start_configured(Store::Memory, Some(limits));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let (sibling, third) = (api.new_guest(&guest.pool), api.new_guest(&guest.pool));
    let busy = fault(503, "ServiceUnavailableException");
    let refuses = |guest: &Guest| refused_signed(api, &guest.caller, asking(guest, "prefs", ""));
    let first = Channel::of(api, &guest, "prefs");
    let mut second = Channel::of(api, &guest, "other");
    assert_eq!(refuses(&guest), busy, "this identity has two");
    let developer = refused_signed(api, &server.root(), asking(&guest, "prefs", ""));
    assert_eq!(developer, busy, "the places are the data's, whoever asks");
    let siblings = Channel::of(api, &sibling, "prefs");
    assert_eq!(refuses(&third), busy, "there are three in all");
    api.put(&third, "prefs", "a", "1", 0);
    drop(first);
    let left = Instant::now();
    until("a place is free", || {
        let request = api.signed(&guest.caller, asking(&guest, "prefs", ""));
        (begun(api, &request).1.status == 200).then_some(())
    });
    println!("a place was free {:?} after its client had left", left.elapsed());
    drop(siblings);
    until("a place is free for another", || are_open(&server, 1.0).then_some(()));
    let mut thirds = Channel::of(api, &third, "prefs");
    assert_eq!(thirds.count(), 1);
    api.put(&guest, "other", "a", "1", 0);
    assert_eq!(second.count(), 1, "who has a place keeps it");
}

#[test]
fn a_channel_ends_with_the_rights_to_it() {
    let server = Server::start_configured(Store::Embedded, Some(QUICK));
    let (api, root) = (server.api(), server.root());
    let (doomed, lasting) = (api.new_user(&root), api.new_user(&root));
    let created: Value = serde_json::from_str(&server.verb(&["key", "create", "--output", "json"])).unwrap();
    let key = Caller::developer(&text(&created["AccessKeyId"]), &text(&created["SecretAccessKey"]));
    let mut of_pool = Channel::of(api, &doomed, "prefs");
    let mut of_key = Channel::open(api, &api.signed(&key, asking(&lasting, "prefs", "")));
    let mut others = Channel::of(api, &lasting, "prefs");
    let deleted = api.identity(Some(&root), "DeleteIdentityPool", &json!({ "IdentityPoolId": doomed.pool }));
    assert_eq!(deleted.status, 200);
    assert_eq!(of_pool.try_event(), None);
    let again = refused_signed(api, &doomed.caller, asking(&doomed, "prefs", ""));
    assert_eq!(again.0, 403, "{again:?}");

    server.verb(&["key", "revoke", &key.access_key_id]);
    let mut blocks = 0;
    while let Some(block) = of_key.block() {
        blocks += 1;
        assert!(blocks < 8, "the channel of a revoked key stays open: {block:?}");
    }
    api.put(&lasting, "prefs", "a", "1", 0);
    assert_eq!(others.count(), 1);
}

#[test]
fn a_server_that_is_told_to_stop_ends_its_channels_and_leaves() {
    let mut server = Server::start(Store::Embedded);
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "a", "1", 0);
    let mut channels: Vec<Channel> = (0..8).map(|_| Channel::of(api, &guest, "prefs")).collect();
    for channel in &mut channels {
        assert_eq!(channel.count(), 1);
    }
    let begun = Instant::now();
    server.stop();
    let took = begun.elapsed();
    println!("stopped {took:?} after SIGTERM with {} channels open", channels.len());
    assert!(took < Duration::from_secs(5), "{took:?}");
    for channel in &mut channels {
        assert_eq!(
            channel.try_event(),
            None,
            "a proper end, which a client can tell from a broken connection"
        );
    }
}

#[test]
fn a_client_that_does_not_read_hurts_nobody() {
    const WRITES: u64 = 100;
    let server = Server::start(Store::Memory);
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut unread: Vec<Channel> = (0..4).map(|_| Channel::of(api, &guest, "prefs")).collect();
    let mut read = Channel::of(api, &guest, "prefs");
    let begun = Instant::now();
    for count in 1..=WRITES {
        api.put(&guest, "prefs", "a", "1", count - 1);
        assert_eq!(read.count(), count);
    }
    println!("{WRITES} writes with as many notices took {:?}", begun.elapsed());
    for channel in &mut unread {
        let mut known = 0;
        while known < WRITES {
            let count = channel.count();
            assert!(count > known, "{count} after {known}");
            known = count;
        }
    }
}

#[test]
fn a_request_for_a_channel_is_refused_as_the_api_refuses() {
    let server = Server::start(Store::Memory);
    let (api, root) = (server.api(), server.root());
    let guest = api.new_user(&root);
    let target = asking(&guest, "prefs", "").target;
    let by_guest =
        |method: &str, target: &str| begun(api, &api.signed(&guest.caller, Request::new(method, target))).1;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = by_guest(method, &target);
        assert_eq!(answer.outcome(), fault(405, "UnknownOperationException"), "{method}");
        assert_eq!(answer.get("allow"), Some("GET"), "{method}");
    }
    let mut head = Connection::open(api.address).unwrap();
    head.send(&api.signed(&guest.caller, Request::new("HEAD", &*target)).bytes(api.address)).unwrap();
    assert_eq!(head.head().unwrap().status, 405);

    let dataset = |name: &str| format!("{}/datasets/{name}/changes", guest.path());
    let too_long = "x".repeat(129);
    for (target, expected) in [
        (dataset("a%20b"), fault(400, "InvalidParameterException")),
        (dataset(&too_long), fault(400, "InvalidParameterException")),
        (dataset("a%zz"), fault(400, "SerializationException")),
        (dataset("%ff"), fault(400, "SerializationException")),
        (dataset(""), fault(404, "UnknownOperationException")),
        (dataset(".."), fault(404, "UnknownOperationException")),
        (dataset("%2e"), fault(404, "UnknownOperationException")),
        (format!("{target}/"), fault(404, "UnknownOperationException")),
        (format!("{target}/more"), fault(404, "UnknownOperationException")),
        (format!("{}/changes", guest.path()), fault(404, "UnknownOperationException")),
    ] {
        let answer = by_guest("GET", &target);
        assert_eq!(answer.outcome(), expected, "{target}");
        assert!(answer.get("x-amzn-requestid").is_some() && !answer.message().is_empty(), "{target}");
        assert_eq!(answer.get("x-amzn-errortype"), Some(&*format!("{}:", expected.1)), "{target}");
    }
    let by_root = |pool: &str, identity: &str| {
        let path = format!(
            "/identitypools/{}/identities/{}/datasets/prefs/changes",
            encoded(pool),
            encoded(identity)
        );
        refused_signed(api, &root, Request::new("GET", path))
    };
    assert_eq!(by_root("no pool", &guest.identity), fault(400, "InvalidParameterException"));
    assert_eq!(by_root(&guest.pool, "nobody"), fault(400, "InvalidParameterException"));
    let unknown = "us-east-1:00000000-0000-4000-8000-000000000000";
    assert_eq!(by_root(unknown, &guest.identity), fault(403, "NotAuthorizedException"));
    Channel::open(
        api,
        &api.signed(&root, asking(&Guest { identity: unknown.to_owned(), ..guest }, "new", "")),
    );
}

#[test]
fn a_signature_must_be_of_the_request_and_of_its_time() {
    let server = Server::start(Store::Memory);
    let api = server.api();
    let guest = api.new_user(&server.root());
    let signing = || Signing::by(&guest.caller, "cognito-sync");
    let asking = || asking(&guest, "prefs", "");
    let by_url = |signing: Signing, seconds| signing.query(asking(), api.address, seconds);
    let invalid = fault(403, "InvalidSignatureException");
    assert_eq!(refused(api, &by_url(signing().off_by_seconds(-900), 60)), invalid, "expired");
    assert_eq!(refused(api, &by_url(signing().off_by_seconds(900), 60)), invalid, "not yet current");
    assert_eq!(refused(api, &by_url(signing().method("POST"), 60)), invalid);
    assert_eq!(refused(api, &by_url(signing().region("eu-central-1"), 60)), invalid);
    assert_eq!(refused(api, &by_url(Signing::by(&guest.caller, "sts"), 60)), invalid);
    assert_eq!(refused(api, &by_url(Signing::by(&guest.caller.forged(), "cognito-sync"), 60)), invalid);
    assert_eq!(refused(api, &signing().off_by_seconds(-900).headers(asking(), api.address)), invalid);
    let mut added = by_url(signing(), 60);
    added.target.push_str("&lastSyncCount=9");
    assert_eq!(refused(api, &added), invalid, "what is added is not signed");
    let both = signing().headers(by_url(signing(), 60), api.address);
    assert_eq!(refused(api, &both), fault(403, "IncompleteSignatureException"));
    let unsigned = fault(403, "MissingAuthenticationTokenException");
    assert_eq!(refused(api, &asking()), unsigned);
    Channel::open(api, &by_url(signing().off_by_seconds(-900), 3600));
    let with_header = by_url(signing(), 60).header("X-Amz-Meta", "unsigned");
    assert_ne!(begun(api, &with_header).1.status, 200, "every x-amz-* header must be signed");
}
