//! The peers themselves: each behaves as the tests that use it assume.

use std::time::{Duration, Instant};

use carryall_acceptance::peers::aws::{self, Service, allowing};
use carryall_acceptance::peers::{
    Answer, Browser, BrowserEvent, Fault, FaultProxy, Kinesalite, MiniStack, Moto, Receiver, Stream,
};
use carryall_acceptance::{
    Api, Caller, Connection, DIRECTORY, Request, Server, ServerSettings, Signing, Store,
};
use serde_json::{Value, json};

const SNS_VERSION: &str = "2010-03-31";

fn publish(peer: std::net::SocketAddr, caller: &Caller, endpoint: &str, message: &str) -> (u16, String) {
    let sns = Service { peer, caller, name: "sns" };
    sns.query(SNS_VERSION, "Publish", &[("TargetArn", endpoint), ("Message", message)]).outcome()
}

#[test]
fn moto_keeps_what_is_published_until_the_endpoint_is_disabled_or_deleted() {
    let moto = Moto::shared();
    let application = moto.create_application("GCM", "kept");
    let endpoint = moto.create_endpoint(&application, "a token");
    let publish = |message: &str| publish(moto.address(), moto.owner(), &endpoint, message);
    for number in 0..5 {
        assert_eq!(publish(&format!("message {number}")), (200, String::new()));
    }
    let kept = moto.wait_for_messages(&endpoint, 5);
    assert_eq!(kept, ["message 0", "message 1", "message 2", "message 3", "message 4"]);

    moto.disable_endpoint(&endpoint);
    assert_eq!(publish("to nobody"), (400, "EndpointDisabled".to_owned()));
    let endpoints = moto.endpoints(&application);
    assert_eq!(endpoints.len(), 1);
    assert_eq!((endpoints[0].token.as_str(), endpoints[0].enabled), ("a token", false));

    moto.delete_endpoint(&endpoint);
    assert_eq!(publish("to nobody"), (404, "NotFound".to_owned()));
    assert_eq!(moto.endpoints(&application), []);
    assert_eq!(moto.messages(&endpoint).len(), 5);
    let endpoint = moto.create_endpoint(&application, "a token");
    moto.delete_application(&application);
    let sns = moto.service("sns");
    let again = sns.query(SNS_VERSION, "Publish", &[("TargetArn", &endpoint), ("Message", "to nobody")]);
    assert_eq!(again.outcome(), (404, "NotFound".to_owned()));
}

#[test]
fn moto_verifies_signatures_and_policies_when_told_to() {
    let moto = Moto::start();
    let application = moto.create_application("GCM", "verified");
    let endpoint = moto.create_endpoint(&application, "a token");
    let allowed = moto.create_user("allowed", &["sns:Publish"]);
    let other = moto.create_user("other", &["sns:ListTopics"]);
    let forged = allowed.forged();
    let publish = |caller: &Caller| publish(moto.address(), caller, &endpoint, "a-message");

    assert_eq!(publish(&forged), (200, String::new()));
    moto.verify_callers(true);
    assert_eq!(publish(&allowed), (200, String::new()));
    assert_eq!(publish(&other), (403, "AccessDenied".to_owned()));
    assert_eq!(publish(&forged), (403, "SignatureDoesNotMatch".to_owned()));
    let role = moto.create_role("publishing", &["sns:Publish"]);
    let assumer = moto.create_user("assumer", &["sts:AssumeRole"]);
    let sts = Service { peer: moto.address(), caller: &assumer, name: "sts" };
    assert_eq!(publish(&assumer), (403, "AccessDenied".to_owned()));
    assert_eq!(publish(&aws::assume_role(&sts, &role)), (200, String::new()));
    // The harness's own calls still work.
    moto.create_endpoint(&application, "another-token");
    moto.bucket("verified").create();
    moto.verify_callers(false);
    assert_eq!(publish(&forged), (200, String::new()));
}

#[test]
fn kinesalite_returns_what_was_put_in_its_order() {
    let stream = Kinesalite::shared().stream("kept");
    let put = |number: u32| stream.put("key", json!({ "number": number }).to_string().as_bytes());
    stream.begin(2);
    assert_eq!(put(0).outcome(), (400, "ResourceNotFoundException".to_owned()), "while it is created");
    stream.delete();
    stream.create(2);
    for number in 0..20 {
        assert_eq!(put(number).status, 200);
    }
    let records = stream.wait_for(20);
    let numbers: Vec<Value> = records.iter().map(|record| record.json()["number"].clone()).collect();
    assert_eq!(json!(numbers), json!((0..20).collect::<Vec<u32>>()));
    assert!(records.iter().all(|record| record.partition_key == "key"));
    assert!(records.is_sorted_by_key(|record| record.sequence_number.clone()));
    stream.delete();
    assert_eq!(put(0).outcome(), (400, "ResourceNotFoundException".to_owned()), "when it is gone");
}

const HANDLER: &str = r#"
import time

def handler(event, context):
    if event["do"] == "raise":
        raise ValueError("on purpose")
    if event["do"] == "hang":
        time.sleep(60)
    return dict(event, seen=True)
"#;

#[test]
fn ministack_runs_a_handler_and_tells_of_errors_time_outs_and_throttling() {
    let ministack = MiniStack::shared();
    let arn = ministack.deploy("runs", HANDLER, 30);
    assert!(arn.ends_with(":function:runs"), "{arn}");
    assert_eq!(ministack.invoke("runs", &json!({ "do": "x" })).json(), json!({ "do": "x", "seen": true }));

    let raised = ministack.invoke("runs", &json!({ "do": "raise" }));
    assert_eq!((raised.status, raised.get("x-amz-function-error")), (200, Some("Unhandled")));
    assert_eq!(raised.json()["errorMessage"], "on purpose");

    ministack.set_timeout_seconds("runs", 1);
    let hung = ministack.invoke("runs", &json!({ "do": "hang" }));
    assert_eq!((hung.status, hung.get("x-amz-function-error")), (200, Some("Unhandled")));
    assert!(hung.text().contains("timed out"), "{}", hung.text());

    ministack.throttle("runs");
    assert_eq!(ministack.invoke("runs", &json!({ "do": "x" })).status, 429);
    ministack.let_through("runs");
    assert_eq!(ministack.invoke("runs", &json!({ "do": "x" })).status, 200);
    ministack.delete_function("runs");
    assert_eq!(ministack.invoke("runs", &json!({ "do": "x" })).status, 404);
}

#[test]
fn a_checking_ministack_lets_a_role_do_what_its_policy_says() {
    let ministack = MiniStack::shared_checking();
    ministack.deploy("checked", HANDLER, 30);
    let assumer = ministack.create_user("assumer", &["sts:AssumeRole"]);
    let principal = json!({ "AWS": format!("arn:aws:iam::{}:root", MiniStack::ACCOUNT) });
    let invoking = ministack.create_role("invoking", &principal, &["lambda:InvokeFunction"]);
    let listing = ministack.create_role("listing", &principal, &["lambda:ListFunctions"]);
    let sts = Service { peer: ministack.address(), caller: &assumer, name: "sts" };
    let invoke = |caller: &Caller| {
        let lambda = Service { peer: ministack.address(), caller, name: "lambda" };
        let target = "/2015-03-31/functions/checked/invocations";
        lambda.rest("POST", target, Some(&json!({ "do": "x" }))).status
    };

    let invoker = aws::assume_role(&sts, &invoking);
    assert!(ministack.identity_of(&invoker).contains("assumed-role/invoking"));
    assert_eq!(invoke(&invoker), 200);
    assert_eq!(invoke(&aws::assume_role(&sts, &listing)), 403);
    assert_eq!(invoke(&assumer), 403);
    assert_eq!(invoke(&invoker.forged()), 403);

    let trusted = json!({ "AWS": "arn:aws:iam::999999999999:root" });
    let foreign = aws::create_role(&ministack.service("iam"), "foreign", &trusted, &allowing(&["*"]));
    let refused = sts.query("2011-06-15", "AssumeRole", &[("RoleArn", &foreign), ("RoleSessionName", "a")]);
    assert_eq!(refused.outcome(), (403, "AccessDenied".to_owned()));
}

#[test]
fn a_checking_ministack_verifies_signatures_of_streams_and_of_presigned_urls() {
    let ministack = MiniStack::shared_checking();
    let stream = ministack.stream("checked");
    stream.create(1);
    let writer = ministack.create_user("writer", &["kinesis:PutRecord"]);
    let put = |caller: &Caller| {
        Stream { kinesis: Service { caller, ..stream.kinesis }, ..stream }.put("key", b"data")
    };
    assert_eq!(put(&writer).status, 200);
    assert_eq!(stream.wait_for(1)[0].data, b"data");
    assert_eq!(put(&writer.forged()).outcome(), (400, "InvalidSignatureException".to_owned()));

    let bucket = ministack.bucket("checked");
    bucket.create();
    bucket.put("a/b.json", b"[1,2]");
    bucket.put("a/b c:d", b"odd");
    assert_eq!(bucket.keys(), ["a/b c:d", "a/b.json"]);
    assert_eq!(bucket.object("a/b c:d"), b"odd");
    assert_eq!(bucket.object("a/b.json"), b"[1,2]");
    let signing = Signing::by(ministack.root(), "s3");
    let presigned = |path: &str, seconds_ago: i64| {
        let signing = signing.clone().off_by_seconds(-seconds_ago);
        let request = signing.query(Request::new("GET", path), ministack.address(), 60);
        bucket.fetch(&format!("{}{}", ministack.endpoint_url(), request.target))
    };
    assert_eq!(presigned("/checked/a/b.json", 0).json(), json!([1, 2]));
    assert_eq!(presigned("/checked/a/b.json", 90).outcome(), (403, "AccessDenied".to_owned()));
    let signed = signing.query(Request::new("GET", "/checked/another"), ministack.address(), 60);
    let moved = signed.target.replace("another", "a/b.json");
    let moved = bucket.fetch(&format!("{}{moved}", ministack.endpoint_url()));
    assert_eq!(moved.outcome(), (403, "SignatureDoesNotMatch".to_owned()));
}

#[test]
fn the_receiver_records_answers_by_its_script_and_verifies_signatures() {
    let receiver = Receiver::start();
    let late = Answer::status(503).header("Retry-After", "1").body("later").after_milliseconds(200);
    receiver.answer_next(late);
    receiver.answer_path("/gone", Answer::status(410));
    // HMAC-SHA256 of `1700000000`, `event-1` and `{"a":1}`, each on a line, under `secret`, computed elsewhere.
    let signature = "7177683985cf7beb3537ac393335dc63d41a78d7d9dd9ab578d1350d60da4bdb";
    let signed = Request::new("POST", "/hook?a=b")
        .header("Carryall-Timestamp", "1700000000")
        .header("Carryall-Event-Id", "event-1")
        .header("Carryall-Signature", format!("v1=00, v1={signature}"))
        .body("{\"a\":1}");
    let altered = signed.clone().body("{\"a\":2}");
    let mut connection = Connection::open(receiver.address()).unwrap();
    let begun = Instant::now();
    let first = connection.exchange(&signed).unwrap();
    assert_eq!((first.status, first.get("retry-after"), first.text().as_str()), (503, Some("1"), "later"));
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(connection.exchange(&altered).unwrap().status, 200);
    assert_eq!(connection.exchange(&Request::new("GET", "/gone")).unwrap().status, 410);

    let received = receiver.wait_for(3);
    assert_eq!((received[0].path(), &received[0].json()), ("/hook", &json!({ "a": 1 })));
    assert!(received[0].is_signed_with("secret"));
    assert!(!received[0].is_signed_with("another secret"));
    assert!(!received[1].is_signed_with("secret"));
    receiver.refuse(true);
    assert!(Connection::open(receiver.address()).is_err());
    receiver.refuse(false);
    assert_eq!(Api::at(receiver.address()).send(&altered).status, 200);
}

#[test]
fn the_fault_proxy_does_to_requests_what_it_is_told() {
    let receiver = Receiver::start();
    let proxy = FaultProxy::before(receiver.address());
    let put = Request::new("POST", "/").header("X-Amz-Target", "Kinesis_20131202.PutRecord").body("{}");
    let send = || {
        let mut connection = Connection::open(proxy.address())?;
        connection.exchange(&put)
    };
    receiver.answer_path("/", Answer::status(200).body("from the peer"));

    assert_eq!(send().unwrap().text(), "from the peer");
    assert_eq!(receiver.received()[0].request.get("host"), Some(proxy.address().to_string().as_str()));
    let throttled = "ProvisionedThroughputExceededException";
    proxy.set_for_next(2, "PutRecord", Fault::json_error(400, throttled));
    assert_eq!(send().unwrap().outcome(), (400, throttled.to_owned()));
    assert_eq!(send().unwrap().outcome(), (400, throttled.to_owned()));
    assert_eq!(send().unwrap().status, 200);
    assert_eq!(receiver.received().len(), 2, "the peer was not asked");

    proxy.set(Fault::LoseAnswer);
    assert!(send().is_err());
    assert_eq!(receiver.received().len(), 3, "the peer was asked");

    proxy.set(Fault::Silence);
    let mut silent = Connection::open(proxy.address()).unwrap();
    silent.send(&put.bytes(proxy.address())).unwrap();
    proxy.wait_for("PutRecord", 6);
    proxy.set(Fault::Slow { delay_milliseconds: 200 });
    assert!(silent.is_closed(), "let go when the fault changed");
    let begun = Instant::now();
    assert_eq!(send().unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));

    proxy.refuse(true);
    assert_eq!(send().unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.refuse(false);
    proxy.set(Fault::None);
    assert_eq!(send().unwrap().status, 200);
    assert_eq!(proxy.count("PutRecord"), 8);
}

#[test]
fn signatures_stay_good_through_the_fault_proxy() {
    let moto = Moto::start();
    let endpoint = moto.create_endpoint(&moto.create_application("GCM", "through"), "a token");
    let proxy = FaultProxy::before(moto.address());
    moto.verify_callers(true);
    let publish = || publish(proxy.address(), moto.owner(), &endpoint, "a-message");
    assert_eq!(publish(), (200, String::new()));
    proxy.set_for_next(1, "Publish", Fault::xml_error(500, "InternalError"));
    assert_eq!(publish(), (500, "InternalError".to_owned()));
    assert_eq!(publish(), (200, String::new()));
    assert_eq!(moto.messages(&endpoint).len(), 2);
    assert_eq!(proxy.count("Publish"), 3);
}

#[test]
fn the_browser_reports_what_an_event_source_calls_back() {
    let receiver = Receiver::start();
    let page = Answer::status(200).header("Content-Type", "text/html").body("<!doctype html>");
    receiver.answer_path("/page", page);
    let stream = "id: 7\nevent: dataset\ndata: {\"count\":1}\n\nid: 8\ndata: plain\n\nretry: 10\n\n";
    let events = Answer::status(200).header("Content-Type", "text/event-stream").body(stream);
    receiver.answer_path("/events", events);
    let mut browser = Browser::visiting(&receiver.url("/page"));
    let source = browser.open(&receiver.url("/events?token=a"), &["dataset", "message"]);
    assert_eq!(browser.next_report(), BrowserEvent::Open { id: source });
    let event = |r#type: &str, id: &str, data: &str| (r#type.to_owned(), id.to_owned(), data.to_owned());
    assert_eq!(browser.next_event(), event("dataset", "7", "{\"count\":1}"));
    assert_eq!(browser.next_event(), event("message", "8", "plain"));
    // The stream ends, and the browser continues after the last id by itself.
    assert_eq!(browser.next_report(), BrowserEvent::Error { id: source, closed: false });
    assert_eq!(browser.next_report(), BrowserEvent::Open { id: source });
    let received = receiver.received();
    let mut asked = received.iter().filter(|received| received.path() == "/events");
    assert_eq!(asked.next().unwrap().request.get("last-event-id"), None);
    assert_eq!(asked.next().unwrap().request.get("last-event-id"), Some("8"));

    browser.close(source);
    browser.visit(&receiver.url("/page"));
    let missing = browser.open(&receiver.url("/page"), &[]);
    assert_eq!(browser.next_report(), BrowserEvent::Error { id: missing, closed: true });
}

#[test]
fn a_server_is_started_with_variables_and_with_its_directory_in_its_configuration() {
    let settings = ServerSettings::default()
        .configuration(&format!("# {DIRECTORY}\nallow_developer_updates = true\n"))
        .variable("CARRYALL_REGION", "eu-central-1")
        .acting_as(&Caller::developer("AKIAOUTBOUND00000000", "outbound"))
        .endpoint_of("SNS", "http://127.0.0.1:1");
    let server = Server::start_with(Store::Memory, settings);
    let refused =
        server.api().identity(Some(&server.root()), "ListIdentityPools", &json!({ "MaxResults": 1 }));
    assert!(refused.message().contains("eu-central-1"), "{}", refused.text());
    let file = std::fs::read_to_string(server.directory().join("carryall.toml")).unwrap();
    assert!(file.starts_with(&format!("# {}\n", server.directory().display())), "{file}");
}
