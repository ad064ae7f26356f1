//! Requests that no client sends by accident. Each must get a clear 4xx and change nothing, and the server
//! must continue.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use carryall_acceptance::{Api, Connection, Guest, Request, Response, Server, Store};
use serde_json::{Value, json};

use crate::on_every_store;

on_every_store!(
    bodies_that_are_no_input_are_refused,
    paths_and_queries_that_name_nothing_are_refused,
    tokens_of_somewhere_else_are_refused,
    oversize_bodies_are_refused_before_they_are_read,
    chunked_bodies_are_bodies,
    framing_in_two_ways_is_refused,
    a_misframed_body_is_read_so_that_its_refusal_arrives,
    what_is_no_http_is_refused,
);

/// The time limit for the server to end the connection of a slow sender.
const SLOW_SENDER_SECONDS_MAX: u64 = 180;
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;

struct Victim {
    api: Api,
    guest: Guest,
    session: String,
    before: Value,
}

impl Victim {
    fn new(server: &Server) -> Self {
        let api = server.api();
        let guest = api.new_user(&server.root());
        api.put(&guest, "prefs", "k", "v", 0);
        let session = api.session(&guest, "prefs");
        let before = state(api, &guest);
        Self { api, guest, session, before }
    }

    /// Sends a request, signed as the victim, that must be refused and change nothing.
    fn refuses(&self, what: &str, status: u16, name: &str, request: Request) {
        let answer = self.api.send(&self.api.signed(&self.guest.caller, request));
        assert_eq!(answer.outcome(), (status, name.to_owned()), "{what}: {}", answer.text());
        assert_eq!(answer.get("x-amzn-errortype"), Some(&*format!("{name}:")), "{what}");
        assert!(!answer.message().is_empty(), "{what}: {}", answer.text());
    }

    fn update(&self, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", self.guest.dataset("prefs"))
            .header("Content-Type", "application/json")
            .body(body)
    }

    /// A body with this text in place of the record patches.
    fn patches(&self, patches: &str) -> String {
        format!(r#"{{"SyncSessionToken":"{}","RecordPatches":{patches}}}"#, self.session)
    }

    /// A body with one patch whose members are this text.
    fn patch(&self, members: &str) -> String {
        self.patches(&format!("[{{{members}}}]"))
    }

    fn is_unharmed(&self) {
        assert_eq!(state(self.api, &self.guest), self.before, "something changed");
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.is_unharmed();
        }
    }
}

/// Everything of the identity that a request could have changed.
fn state(api: Api, guest: &Guest) -> Value {
    let get = |target: String| api.sync(Some(&guest.caller), "GET", &target, None).json();
    let listing = get(guest.records("prefs"));
    json!([
        listing["DatasetSyncCount"],
        listing["Records"],
        get(format!("{}/datasets", guest.path())),
        get(guest.path()),
    ])
}

/// The members of a patch that would be accepted.
const GOOD: &str = r#""Op":"replace","Key":"x","Value":"y","SyncCount":0"#;

/// Bodies that are not a JSON object, or nest too deep.
fn shapeless_bodies(victim: &Victim) -> Vec<(&'static str, Vec<u8>)> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
    vec![
        ("cut off", victim.patch(GOOD).into_bytes()[..60].to_vec()),
        ("not JSON", b"Op=replace&Key=x".to_vec()),
        ("an array", b"[]".to_vec()),
        ("a string", b"\"x\"".to_vec()),
        ("null", b"null".to_vec()),
        ("two values", format!("{}{{}}", victim.patch(GOOD)).into_bytes()),
        ("nested deeply in an unknown member", format!(r#"{{"Unknown":{deep}}}"#).into_bytes()),
        ("objects nested deeply", format!(r#"{{"Unknown":{deep_objects}}}"#).into_bytes()),
        ("patches nested deeply", victim.patches(&deep).into_bytes()),
    ]
}

/// Bodies whose members have wrong types, occur twice, or are not text.
fn mistyped_bodies(victim: &Victim) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("patches no list", victim.patches("{}").into_bytes()),
        ("patches a string", victim.patches("\"x\"").into_bytes()),
        ("a patch no object", victim.patches("[1]").into_bytes()),
        (
            "a value that is a number",
            victim.patch(r#""Op":"replace","Key":"x","Value":1,"SyncCount":0"#).into(),
        ),
        (
            "a value that is an object",
            victim.patch(r#""Op":"replace","Key":"x","Value":{},"SyncCount":0"#).into(),
        ),
        (
            "a key that is a number",
            victim.patch(r#""Op":"replace","Key":1,"Value":"y","SyncCount":0"#).into(),
        ),
        (
            "a count with a fraction",
            victim.patch(r#""Op":"replace","Key":"x","Value":"y","SyncCount":0.5"#).into(),
        ),
        (
            "a count that is true",
            victim.patch(r#""Op":"replace","Key":"x","Value":"y","SyncCount":true"#).into(),
        ),
        (
            "a count of 30 digits",
            victim
                .patch(r#""Op":"replace","Key":"x","Value":"y","SyncCount":100000000000000000000000000000"#)
                .into(),
        ),
        (
            "a count of 1E400",
            victim.patch(r#""Op":"replace","Key":"x","Value":"y","SyncCount":1E400"#).into(),
        ),
        (
            "a date that is text",
            victim.patch(&format!(r#"{GOOD},"DeviceLastModifiedDate":"2015-01-01""#)).into(),
        ),
        ("a date of 1E300", victim.patch(&format!(r#"{GOOD},"DeviceLastModifiedDate":1E300"#)).into()),
        ("a member twice", victim.patch(&format!(r#"{GOOD},"Value":"z""#)).into()),
        (
            "the token twice",
            format!(
                r#"{{"SyncSessionToken":"x","SyncSessionToken":"{}","RecordPatches":[]}}"#,
                victim.session
            )
            .into(),
        ),
        (
            "half a surrogate pair",
            victim.patch(r#""Op":"replace","Key":"x","Value":"\ud83e","SyncCount":0"#).into(),
        ),
        (
            "a raw control character",
            victim.patch("\"Op\":\"replace\",\"Key\":\"x\",\"Value\":\"\n\",\"SyncCount\":0").into(),
        ),
        ("bad UTF-8", {
            let mut body = victim.patch(GOOD).into_bytes();
            let at = body.iter().rposition(|byte| *byte == b'y').unwrap();
            body[at] = 0xff;
            body
        }),
        ("an overlong zero", {
            let text = victim.patch(GOOD).into_bytes();
            let at = text.iter().rposition(|byte| *byte == b'y').unwrap();
            [&text[..at], &[0xc0, 0x80], &text[at + 1..]].concat()
        }),
        ("a byte order mark", [b"\xef\xbb\xbf", victim.patch(GOOD).as_bytes()].concat()),
    ]
}

fn bodies_that_are_no_input_are_refused(server: &mut Server) {
    let victim = Victim::new(server);
    for (what, body) in shapeless_bodies(&victim).into_iter().chain(mistyped_bodies(&victim)) {
        victim.refuses(what, 400, "SerializationException", victim.update(body));
    }
    let invalid = [
        ("an unknown operation", victim.patch(r#""Op":"destroy","Key":"x","Value":"y","SyncCount":0"#)),
        ("a negative count", victim.patch(r#""Op":"replace","Key":"x","Value":"y","SyncCount":-1"#)),
        ("no token", r#"{"RecordPatches":[]}"#.to_owned()),
        ("an empty body", String::new()),
        ("more patches than any dataset holds", {
            let patches: Vec<String> = (0..20_000)
                .map(|number| format!(r#"{{"Op":"remove","Key":"k{number}","SyncCount":0}}"#))
                .collect();
            victim.patches(&format!("[{}]", patches.join(",")))
        }),
    ];
    for (what, body) in invalid {
        victim.refuses(what, 400, "InvalidParameterException", victim.update(body));
    }
}

fn paths_and_queries_that_name_nothing_are_refused(server: &mut Server) {
    let victim = Victim::new(server);
    let (identity, dataset, records) =
        (victim.guest.path(), victim.guest.dataset("prefs"), victim.guest.records("prefs"));
    let named = |name: &str| format!("{identity}/datasets/{name}");
    for (what, name) in [
        ("NUL", "pre%00fs"),
        ("an escape", "%1b[31m"),
        ("a line feed", "prefs%0a"),
        ("an encoded slash", "a%2Fb"),
        ("a letter beyond ASCII", "%C3%A9"),
        ("a digit beyond ASCII", "%D9%A1"),
    ] {
        victim.refuses(what, 400, "InvalidParameterException", Request::new("GET", named(name)));
        victim.refuses(what, 400, "InvalidParameterException", Request::new("DELETE", named(name)));
    }
    for (what, target) in [
        ("bad UTF-8 in a path", named("%FF%FE")),
        ("half a character in a path", named("%C3")),
        ("a query member twice", format!("{records}?lastSyncCount=0&lastSyncCount=1")),
    ] {
        victim.refuses(what, 400, "SerializationException", Request::new("GET", target));
    }
    // AWS's signer replaces bytes that are not UTF-8 in a query, so its signature is not of the sent request.
    let bad_utf8 = Request::new("GET", format!("{records}?nextToken=%FF"));
    victim.refuses("bad UTF-8 in a query", 403, "InvalidSignatureException", bad_utf8);
    for (what, target) in [
        ("an empty segment", format!("{identity}//datasets")),
        ("a trailing slash", format!("{dataset}/")),
        ("a dot segment", format!("{identity}/./datasets")),
        ("a dot-dot segment", format!("{identity}/datasets/../datasets")),
        ("an encoded dot-dot segment", format!("{identity}/datasets/%2e%2e/datasets")),
        ("a double slash in front", format!("/{dataset}")),
    ] {
        victim.refuses(what, 404, "UnknownOperationException", Request::new("GET", target));
    }
    for (what, query) in [
        ("a count with a sign", "lastSyncCount=%2B1"),
        ("a count in hexadecimal", "lastSyncCount=0x1"),
        ("a count of 30 digits", "lastSyncCount=100000000000000000000000000000"),
        ("a negative count", "lastSyncCount=-1"),
        ("a page size of nothing", "maxResults="),
        ("a page size of 0", "maxResults=0"),
        ("a page size of 1E3", "maxResults=1E3"),
        ("a token of control characters", "syncSessionToken=%00%01"),
        ("a page token of a megabyte's start", "nextToken=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        victim.refuses(
            what,
            400,
            "InvalidParameterException",
            Request::new("GET", format!("{records}?{query}")),
        );
    }
    let unescaped = victim.api.send(&Request::new("GET", named("%zz")));
    assert!((400..500).contains(&unescaped.status), "{unescaped:?}");
}

fn tokens_of_somewhere_else_are_refused(server: &mut Server) {
    let elsewhere = Server::start(Store::Memory);
    let victim = Victim::new(server);
    let sibling = victim.api.new_guest(&victim.guest.pool);
    let stranger = victim.api.new_user(&server.root());
    let outsider = elsewhere.api().new_user(&elsewhere.root());
    let page = {
        for number in 0..3 {
            let key = format!("k{number}");
            victim.api.put(&sibling, "prefs", &key, "v", 0);
        }
        let target = format!("{}?maxResults=1", sibling.records("prefs"));
        let answer = victim.api.sync(Some(&sibling.caller), "GET", &target, None).json();
        answer["NextToken"].as_str().unwrap().to_owned()
    };
    let tampered = {
        let (rest, last) = victim.session.split_at(victim.session.len() / 2);
        format!("{rest}{}{}", if last.starts_with('A') { 'B' } else { 'A' }, &last[1..])
    };
    let tokens = [
        ("another dataset", victim.api.session(&victim.guest, "other")),
        ("another identity", victim.api.session(&sibling, "prefs")),
        ("another pool", victim.api.session(&stranger, "prefs")),
        ("another server", elsewhere.api().session(&outsider, "prefs")),
        ("a page token for a session", page.clone()),
        ("a credential's token", victim.guest.caller.session_token.clone().unwrap()),
        ("a changed byte", tampered),
        ("nothing", String::new()),
        ("a very long one", "A".repeat(100_000)),
    ];
    for (what, token) in tokens {
        let patch = json!({ "Op": "replace", "Key": "k", "Value": "w", "SyncCount": 1 });
        let body = json!({ "SyncSessionToken": token, "RecordPatches": [patch] });
        victim.refuses(what, 400, "InvalidParameterException", victim.update(body.to_string()));
    }
    let records = victim.guest.records("prefs");
    let foreign_page = Request::new("GET", format!("{records}?maxResults=1&nextToken={page}"));
    victim.refuses("a page of another identity", 400, "InvalidParameterException", foreign_page);
}

fn assert_too_large(answer: &Response) {
    assert_eq!(answer.outcome(), (413, "RequestEntityTooLargeException".to_owned()), "{}", answer.text());
}

fn oversize_bodies_are_refused_before_they_are_read(server: &mut Server) {
    let victim = Victim::new(server);
    let signed = victim.api.signed(&victim.guest.caller, victim.update(vec![b' '; BODY_BYTES_MAX + 1]));
    // Only the head is sent: a server that waits for the body would wait for ever.
    for head in [signed.clone(), signed.clone().header("Expect", "100-continue")] {
        let mut connection = Connection::open(victim.api.address).unwrap();
        connection.send(&head.head(victim.api.address)).unwrap();
        assert_too_large(&connection.interim_or_final().unwrap());
    }
    // An absurd length is no different, signed or not.
    let absurd = Request::new("POST", "/").header("Content-Length", "18446744073709551615");
    let mut connection = Connection::open(victim.api.address).unwrap();
    connection.send(&absurd.head(victim.api.address)).unwrap();
    let answer = connection.interim_or_final().unwrap();
    assert!((400..500).contains(&answer.status), "{answer:?}");
    // A chunked body has no announced length; the limit applies all the same.
    let chunked = signed.header("Transfer-Encoding", "chunked");
    let mut connection = Connection::open(victim.api.address).unwrap();
    connection.send(&chunked.head(victim.api.address)).unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 16).as_bytes(), &vec![b' '; 1 << 16], b"\r\n"].concat();
    let chunks_max = BODY_BYTES_MAX / (1 << 16) + 64;
    let sent = (0..chunks_max).take_while(|_| connection.send(&chunk).is_ok()).count();
    match connection.answer() {
        Ok(answer) => assert_too_large(&answer),
        Err(_) => assert!(sent < chunks_max, "neither refused nor cut off"),
    }
}

fn chunked_bodies_are_bodies(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let patch = json!({ "Op": "replace", "Key": "k", "Value": "v", "SyncCount": 0 });
    let body =
        json!({ "SyncSessionToken": api.session(&guest, "prefs"), "RecordPatches": [patch] }).to_string();
    let signed = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).body(&*body));
    let head = signed.header("Transfer-Encoding", "chunked").head(api.address);
    let chunks = |body: &str| {
        let (first, second) = body.split_at(body.len() / 2);
        format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len()).into_bytes()
    };
    let mut changed = Connection::open(api.address).unwrap();
    changed.send(&[head.clone(), chunks(&body.replace("\"v\"", "\"w\""))].concat()).unwrap();
    assert_eq!(changed.answer().unwrap().outcome(), (403, "InvalidSignatureException".to_owned()));
    let mut connection = Connection::open(api.address).unwrap();
    connection.send(&[head, chunks(&body)].concat()).unwrap();
    assert_eq!(connection.answer().unwrap().status, 200);
    assert_eq!(api.list(&guest, "prefs")["Records"][0]["Value"], "v");
}

fn framing_in_two_ways_is_refused(server: &mut Server) {
    let victim = Victim::new(server);
    let patch = victim.patch(r#""Op":"replace","Key":"k","Value":"w","SyncCount":1"#);
    let signed = victim.api.signed(&victim.guest.caller, victim.update(&*patch));
    let length = patch.len().to_string();
    let chunked = format!("{:x}\r\n{patch}\r\n0\r\n\r\n", patch.len());
    let heads = [
        (
            "length and coding",
            signed.clone().header("Content-Length", &*length).header("Transfer-Encoding", "chunked"),
        ),
        (
            "coding and length",
            signed.clone().header("Transfer-Encoding", "chunked").header("Content-Length", &*length),
        ),
        ("two lengths", signed.clone().header("Content-Length", &*length).header("Content-Length", "1")),
        ("an unknown coding", signed.clone().header("Transfer-Encoding", "gzip")),
        ("a length that is no number", signed.clone().header("Content-Length", "12a")),
        ("a negative length", signed.clone().header("Content-Length", "-1")),
    ];
    for (what, head) in heads {
        let mut connection = Connection::open(victim.api.address).unwrap();
        connection.send(&head.head(victim.api.address)).unwrap();
        // The server may have closed already; its answer counts.
        let _ = connection.send(chunked.as_bytes());
        let answer = connection.answer().map_err(|trouble| format!("{what}: {trouble}")).unwrap();
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    }
}

fn assert_misframed(answer: &Response) {
    assert_eq!(answer.outcome(), (400, "SerializationException".to_owned()), "{}", answer.text());
    assert!(answer.text().contains("Content-Length"), "{}", answer.text());
}

fn a_misframed_body_is_read_so_that_its_refusal_arrives(server: &mut Server) {
    let victim = Victim::new(server);
    let patch = victim.patch(r#""Op":"replace","Key":"k","Value":"w","SyncCount":1"#);
    let signed = victim.api.signed(&victim.guest.caller, victim.update(&*patch));
    let length = patch.len().to_string();
    let twice = signed.clone().header("Content-Length", &*length).header("Content-Length", &*length);
    let mut connection = Connection::open(victim.api.address).unwrap();
    connection.send(&[twice.head(victim.api.address), patch.into_bytes()].concat()).unwrap();
    assert_misframed(&connection.answer().unwrap());

    let both = signed.header("Content-Length", &*length).header("Transfer-Encoding", "chunked");
    let mut connection = Connection::open(victim.api.address).unwrap();
    connection.send(&both.head(victim.api.address)).unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 16).as_bytes(), &vec![b' '; 1 << 16], b"\r\n"].concat();
    for _ in 0..=BODY_BYTES_MAX >> 16 {
        connection.send(&chunk).unwrap();
    }
    connection.send(b"0\r\n\r\n").unwrap();
    assert_misframed(&connection.answer().unwrap());
}

fn what_is_no_http_is_refused(server: &mut Server) {
    let victim = Victim::new(server);
    let long_header = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "a".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(10_000));
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    let cases: [(&str, &[u8]); 7] = [
        ("noise", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        ("no version", b"GET /\r\n\r\n"),
        ("a header without a colon", b"GET / HTTP/1.1\r\nHost x\r\n\r\n"),
        ("a space before the colon", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
        ("a header of a megabyte", long_header.as_bytes()),
        ("ten thousand headers", many_headers.as_bytes()),
        ("a target of a megabyte", long_target.as_bytes()),
    ];
    for (what, bytes) in cases {
        let mut connection = Connection::open(victim.api.address).unwrap();
        let _ = connection.send(bytes);
        match connection.answer() {
            Ok(answer) => assert!((400..500).contains(&answer.status), "{what}: {answer:?}"),
            Err(_) => assert!(connection.is_closed(), "{what}: neither answered nor closed"),
        }
    }
    assert_eq!(victim.api.send(&Request::new("GET", "/health/ready")).status, 200);
}

/// The time within which a request's head certainly reaches a server on the same machine.
const HEAD_SECONDS: f64 = 0.05;

#[test]
fn slow_senders_are_cut_off() {
    let server = Server::start(Store::Memory);
    let victim = Victim::new(&server);
    let patch = victim.patch(r#""Op":"replace","Key":"k","Value":"w","SyncCount":1"#);
    let whole = victim.api.signed(&victim.guest.caller, victim.update(&*patch)).bytes(victim.api.address);
    // One sender stops within the head, one within the body; both are waited for together.
    let mut senders = [40, whole.len() - 5].map(|length| {
        use std::io::Write;
        let mut stream = TcpStream::connect(victim.api.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(SLOW_SENDER_SECONDS_MAX))).unwrap();
        stream.write_all(&whole[..length]).unwrap();
        stream
    });
    for stream in &mut senders {
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said);
        assert!(ended.is_ok(), "the connection of a slow sender stays open: {ended:?}");
        let said = String::from_utf8_lossy(&said);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
}

/// The date of the first record in an answer of UpdateRecords, in seconds.
fn date_of(updated: &Response) -> f64 {
    assert_eq!(updated.status, 200, "{}", updated.text());
    updated.json()["Records"][0]["LastModifiedDate"].as_f64().unwrap()
}

#[test]
fn a_slow_senders_update_is_not_dated_before_those_that_overtook_it() {
    let server = Server::start(Store::Memory);
    let api = server.api();
    let guest = api.new_user(&server.root());
    let replace = |count: u64| json!([{ "Op": "replace", "Key": "k", "Value": "v", "SyncCount": count }]);
    let body = json!({ "SyncSessionToken": api.session(&guest, "slow"), "RecordPatches": replace(0) });
    let request = Request::new("POST", guest.dataset("slow")).json(&body);
    let whole = api.signed(&guest.caller, request).bytes(api.address);
    let (first, last) = whole.split_at(whole.len() - 1);
    let mut slow = Connection::open(api.address).unwrap();
    slow.send(first).unwrap();
    // In another dataset, so that the rule about dates of one dataset does not interfere.
    let sent = date_of(&api.update(&guest, "quick", &replace(0)));
    let mut count = 1;
    let overtaking = loop {
        let date = date_of(&api.update(&guest, "quick", &replace(count)));
        if date > sent + HEAD_SECONDS {
            break date;
        }
        count += 1;
    };
    slow.send(last).unwrap();
    let late = date_of(&slow.answer().unwrap());
    assert!(late >= overtaking, "{late} is before {overtaking}");
}
