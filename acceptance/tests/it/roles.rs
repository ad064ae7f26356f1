//! The server's identity at its peers: signatures that a referee recomputes; roles that are assumed, refused,
//! repaired and cached; and the output of `carryall pool check` and the log when a peer refuses the server.

use std::time::{Duration, SystemTime};

use aws_sdk_cognitosync::primitives::{DateTime, DateTimeFormat};
use carryall_acceptance::api::{encoded, text};
use carryall_acceptance::peers::aws::{self, allowing, done};
use carryall_acceptance::peers::{Answer, Fault, FaultProxy, Kinesalite, MiniStack, Moto, Stream, until};
use carryall_acceptance::{Caller, Ended, Guest, Server, ServerSettings, Store};
use serde_json::{Value, json};

use crate::push::{
    configuration, configure, pushing_guest, register, subscribed, try_register, wait_until_nothing_waits,
};

const IAM_VERSION: &str = "2010-05-08";

/// A function that passes every update unchanged.
const UNTOUCHED: &str = "
def handler(event, context):
    return event
";

/// The settings of a server that calls moto for SNS and STS, as this caller.
fn at_moto(moto: &Moto, caller: &Caller) -> ServerSettings {
    let url = moto.endpoint_url();
    ServerSettings::default().acting_as(caller).endpoint_of("SNS", &url).endpoint_of("STS", &url)
}

/// Any principal of MiniStack's account.
fn our_account() -> Value {
    json!({ "AWS": format!("arn:aws:iam::{}:root", MiniStack::ACCOUNT) })
}

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{}:role/{name}", MiniStack::ACCOUNT)
}

fn stream_to(server: &Server, pool: &str, stream: &str, role: &str) {
    let streams = json!({ "StreamName": stream, "RoleArn": role, "StreamingStatus": "ENABLED" });
    configure(server, pool, &json!({ "CognitoStreams": streams }));
}

fn set_trigger(server: &Server, pool: &str, function: &str) {
    let target = format!("/identitypools/{}/events", encoded(pool));
    let body = json!({ "Events": { "SyncTrigger": function } });
    let answer = server.api().sync(Some(&server.root()), "POST", &target, Some(&body));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn sync_counts(stream: &Stream, count: usize) -> Vec<u64> {
    let records = stream.wait_for(count);
    records.iter().map(|record| record.json()["syncCount"].as_u64().unwrap()).collect()
}

#[test]
fn a_referee_accepts_every_signature_of_a_push_and_of_its_repair() {
    let moto = Moto::start();
    let application = moto.create_application("GCM", "signed");
    let user = moto.create_user("pushing", &["sns:*"]);
    moto.verify_callers(true);
    let server = Server::start_with(Store::Embedded, at_moto(&moto, &user));
    let guest = pushing_guest(&server, &[&application]);
    let api = server.api();
    api.put(&guest, "prefs", "k", "v", 0);
    // The token's characters go into the signed form.
    let device = subscribed(api, &guest, "GCM", "a-token/with=odd&letters:ü", "prefs");
    let endpoint = moto.endpoints(&application).remove(0).arn;
    moto.disable_endpoint(&endpoint);
    assert_eq!(register(api, &guest, "GCM", "a-token/with=odd&letters:ü"), device);
    api.put(&guest, "prefs", "k", "v", 1);
    assert_eq!(moto.wait_for_messages(&endpoint, 1).len(), 1);
    let checked = server.try_verb(&["pool", "check", &guest.pool]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

#[test]
fn a_wrong_secret_and_a_missing_right_are_told_apart_from_a_bad_device() {
    let moto = Moto::start();
    let application = moto.create_application("GCM", "refusing");
    let user = moto.create_user("pushing", &["sns:*"]);
    let onlooker = moto.create_user("looking", &["sns:ListTopics"]);
    moto.verify_callers(true);
    let proxy = FaultProxy::before(moto.address());
    for caller in [user.forged(), onlooker] {
        let settings = at_moto(&moto, &caller).endpoint_of("SNS", &proxy.endpoint_url());
        let server = Server::start_with(Store::Memory, settings);
        let guest = pushing_guest(&server, &[&application]);
        let is_refused = |in_the_log: &str| {
            let refused = try_register(server.api(), &guest, "GCM", "never-known");
            if in_the_log.contains("SignatureDoesNotMatch") {
                // The server's own key or clock is at fault, which says nothing about the pool's settings.
                assert_eq!(refused.outcome(), (429, "TooManyRequestsException".to_owned()));
            } else {
                assert_eq!(refused.outcome(), (400, "InvalidConfigurationException".to_owned()));
                assert!(refused.message().contains("carryall pool check"), "{}", refused.message());
            }
            until("the log says why", || server.log().contains(in_the_log).then_some(()));
        };
        // moto refuses callers in a format that is not SNS's, so only the status is known.
        is_refused("CreatePlatformEndpoint (status 403)");
        proxy.set_for_next(1, "CreatePlatformEndpoint", Fault::xml_error(403, "SignatureDoesNotMatch"));
        is_refused("CreatePlatformEndpoint: SignatureDoesNotMatch (status 403)");
        for secret in [&caller.secret_access_key, "never-known"] {
            assert!(!server.log().contains(secret), "{secret} is in the log");
        }
    }
    assert_eq!(moto.endpoints(&application), []);
}

#[test]
fn a_push_is_made_as_its_pools_role_and_not_as_the_server() {
    let moto = Moto::start();
    let application = moto.create_application("GCM", "as-a-role");
    let role = moto.create_role("pushing", &["sns:*"]);
    let powerless = moto.create_role("powerless", &["sns:ListTopics"]);
    let assumer = moto.create_user("assumer", &["sts:AssumeRole"]);
    moto.verify_callers(true);
    let server = Server::start_with(Store::Embedded, at_moto(&moto, &assumer));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let under = |role: Option<&str>| {
        let push = json!({ "ApplicationArns": [application], "RoleArn": role });
        configure(&server, &guest.pool, &json!({ "PushSync": push }));
    };
    for role in [None, Some(powerless.as_str())] {
        under(role);
        let refused = try_register(api, &guest, "GCM", "as-a-role");
        assert_eq!(refused.outcome(), (400, "InvalidConfigurationException".to_owned()), "{role:?}");
    }
    under(Some(&role));
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "as-a-role", "prefs");
    api.put(&guest, "prefs", "k", "v", 1);
    let endpoint = moto.endpoints(&application).remove(0).arn;
    assert_eq!(moto.wait_for_messages(&endpoint, 1).len(), 1);
}

#[test]
fn peer_and_credentials_are_found_where_every_aws_sdk_looks_for_them() {
    let moto = Moto::start();
    let application = moto.create_application("GCM", "by-profile");
    let role = moto.create_role("by-profile", &["sns:*"]);
    let assumer = moto.create_user("assumer", &["sts:AssumeRole"]);
    moto.verify_callers(true);
    let profile = tempfile::NamedTempFile::new().unwrap();
    let (id, secret) = (&assumer.access_key_id, &assumer.secret_access_key);
    let text = format!("[carryall]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(profile.path(), text).unwrap();
    let settings = ServerSettings::default()
        .variable("AWS_PROFILE", "carryall")
        .variable("AWS_SHARED_CREDENTIALS_FILE", profile.path().to_str().unwrap())
        .variable("AWS_ENDPOINT_URL", &moto.endpoint_url());
    let server = Server::start_with(Store::Memory, settings);
    let guest = server.api().new_user(&server.root());
    let push = json!({ "ApplicationArns": [application], "RoleArn": role });
    configure(&server, &guest.pool, &json!({ "PushSync": push }));
    register(server.api(), &guest, "GCM", "by-profile");
    assert_eq!(moto.endpoints(&application).len(), 1);
}

#[test]
fn a_server_without_credentials_says_that_it_has_none() {
    let settings = ServerSettings::default().endpoint_of("SNS", &Moto::shared().endpoint_url());
    let server = Server::start_with(Store::Embedded, settings);
    let guest = pushing_guest(&server, &["arn:aws:sns:us-east-1:123456789012:app/GCM/anything"]);
    let refused = try_register(server.api(), &guest, "GCM", "without credentials");
    assert_eq!(refused.outcome(), (429, "TooManyRequestsException".to_owned()));
    let told = "the server has no AWS credentials";
    until("the log says why", || server.log().contains(told).then_some(()));
    check_fails(&server, &guest, &["credentials", told]);
}

/// A server whose streams, roles and functions are at the checking MiniStack, where it may assume roles and
/// invoke functions.
fn at_ministack(ministack: &MiniStack, user: &str) -> Server {
    let caller = ministack.create_user(user, &["sts:AssumeRole", "lambda:InvokeFunction"]);
    let url = ministack.endpoint_url();
    let settings = ServerSettings::default().acting_as(&caller);
    let settings = ["KINESIS", "STS", "LAMBDA"]
        .into_iter()
        .fold(settings, |settings, service| settings.endpoint_of(service, &url));
    Server::start_with(Store::Embedded, settings.endpoint_of("SNS", &Moto::shared().endpoint_url()))
}

/// Expects that a stream under a role is refused until `mend` is called, and then continues where it stopped.
fn is_switched_off_until_mended(
    server: &Server,
    ministack: &MiniStack,
    role: &str,
    names_it: &str,
    mend: impl FnOnce(),
) {
    let name = format!("stream-of-{role}");
    let stream = ministack.stream(&name);
    stream.create(1);
    let api = server.api();
    let guest = api.new_user(&server.root());
    stream_to(server, &guest.pool, &name, &role_arn(role));
    api.put(&guest, "prefs", "k", "v", 0);
    let reason = until("streaming is switched off", || {
        let streams = configuration(server, &guest.pool)["CognitoStreams"].take();
        (streams["StreamingStatus"] == "DISABLED").then(|| streams["DisabledReason"].clone())
    });
    let reason = text(&reason);
    println!("{role}: {reason}");
    assert!(reason.contains(names_it), "{reason}");
    assert!(!reason.contains('\n'), "{reason}");
    assert_eq!(stream.records(), []);

    mend();
    stream_to(server, &guest.pool, &name, &role_arn(role));
    let streams = configuration(server, &guest.pool)["CognitoStreams"].take();
    assert_eq!((&streams["StreamingStatus"], &streams["DisabledReason"]), (&json!("ENABLED"), &Value::Null));
    api.put(&guest, "prefs", "k", "v", 1);
    assert_eq!(sync_counts(&stream, 2), [1, 2]);
    wait_until_nothing_waits(server, &guest.pool);
}

#[test]
fn a_role_that_is_refused_switches_streaming_off_until_it_is_mended_and_set_again() {
    let ministack = MiniStack::shared_checking();
    let server = at_ministack(ministack, "of-refused-roles");
    let iam = ministack.service("iam");

    ministack.create_role("may-not-put", &our_account(), &["kinesis:ListStreams"]);
    is_switched_off_until_mended(&server, ministack, "may-not-put", "may-not-put", || {
        let policy = allowing(&["kinesis:*"]).to_string();
        let fields = [("RoleName", "may-not-put"), ("PolicyName", "acceptance"), ("PolicyDocument", &policy)];
        done(&iam.query(IAM_VERSION, "PutRolePolicy", &fields));
    });
    is_switched_off_until_mended(&server, ministack, "absent", &role_arn("absent"), || {
        ministack.create_role("absent", &our_account(), &["kinesis:PutRecord"]);
    });
    let foreign = json!({ "AWS": "arn:aws:iam::999999999999:root" });
    aws::create_role(&iam, "distrusting", &foreign, &allowing(&["kinesis:PutRecord"]));
    is_switched_off_until_mended(&server, ministack, "distrusting", &role_arn("distrusting"), || {
        let trust = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Principal": our_account(), "Action": "sts:AssumeRole" }],
        })
        .to_string();
        let fields = [("RoleName", "distrusting"), ("PolicyDocument", trust.as_str())];
        done(&iam.query(IAM_VERSION, "UpdateAssumeRolePolicy", &fields));
    });
}

/// An answer of STS with unknown credentials that expire after `seconds`.
fn invented(seconds: u64) -> Fault {
    #[expect(clippy::disallowed_methods, reason = "credentials end by the clock of who issues them")]
    let ends = DateTime::from(SystemTime::now() + Duration::from_secs(seconds));
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
         <AccessKeyId>ASIAINVENTED00000000</AccessKeyId><SecretAccessKey>invented</SecretAccessKey>\
         <SessionToken>invented</SessionToken><Expiration>{}</Expiration></Credentials></AssumeRoleResult>\
         </AssumeRoleResponse>",
        ends.fmt(DateTimeFormat::DateTime).unwrap()
    );
    Fault::Answer(Answer::status(200).header("Content-Type", "text/xml").body(body))
}

#[test]
fn a_roles_credentials_are_kept_and_fetched_again_before_they_end() {
    let moto = Moto::shared();
    let (sts, kinesis) =
        (FaultProxy::before(moto.address()), FaultProxy::before(Kinesalite::shared().address()));
    let stream = Kinesalite::shared().stream("kept-role");
    stream.create(1);
    let role = moto.create_role("kept-role", &["kinesis:*"]);
    let settings = ServerSettings::default()
        .acting_as(moto.owner())
        .endpoint_of("STS", &sts.endpoint_url())
        .endpoint_of("KINESIS", &kinesis.endpoint_url());
    let mut server = Server::start_with(Store::Embedded, settings);
    let api = server.api();
    let guest = api.new_user(&server.root());
    stream_to(&server, &guest.pool, "kept-role", &role);
    // The check after every setting of a role assumes it again, which is not to be counted here.
    kinesis.wait_for("DescribeStreamSummary", 1);
    let mut put = 0;
    let mut assumed_for = |server: &mut Server, updates: usize| {
        let before = sts.count("AssumeRole");
        for _ in 0..updates {
            server.api().put(&guest, "prefs", &format!("key {put}"), "v", 0);
            put += 1;
            stream.wait_for(put);
        }
        sts.count("AssumeRole") - before
    };
    server.stop();
    server.restart();
    let kept = assumed_for(&mut server, 5);
    server.stop();
    server.restart();
    sts.set_for_next(2, "AssumeRole", invented(5));
    let refreshed = assumed_for(&mut server, 6);
    println!("AssumeRole for 5 deliveries: {kept}; for 6, with 2 short-lived answers: {refreshed}");
    assert_eq!((kept, refreshed), (1, 3));
}

#[test]
fn a_roles_credentials_that_a_peer_refuses_are_fetched_again() {
    let ministack = MiniStack::shared_checking();
    let sts = FaultProxy::before(ministack.address());
    let user = ministack.create_user("of-refused-credentials", &["sts:AssumeRole"]);
    let settings = ServerSettings::default()
        .acting_as(&user)
        .endpoint_of("STS", &sts.endpoint_url())
        .endpoint_of("KINESIS", &ministack.endpoint_url());
    let server = Server::start_with(Store::Embedded, settings);
    let role = ministack.create_role("refused-credentials", &our_account(), &["kinesis:*"]);
    let stream = ministack.stream("refused-credentials");
    stream.create(1);
    let guest = server.api().new_user(&server.root());
    // As when a role is recreated under its old name: credentials of the old one are no longer valid.
    sts.set_for("AssumeRole", invented(3600));
    stream_to(&server, &guest.pool, "refused-credentials", &role);
    server.api().put(&guest, "prefs", "k", "v", 0);
    sts.wait_for("AssumeRole", 2);
    sts.set(Fault::None);
    assert_eq!(sync_counts(&stream, 1), [1]);
    let streams = configuration(&server, &guest.pool)["CognitoStreams"].take();
    assert_eq!(streams["StreamingStatus"], "ENABLED");
}

#[test]
fn a_role_that_cannot_be_assumed_for_a_while_switches_nothing_off() {
    let moto = Moto::shared();
    let sts = FaultProxy::before(moto.address());
    let stream = Kinesalite::shared().stream("patient-role");
    stream.create(1);
    let role = moto.create_role("patient-role", &["*"]);
    let settings = at_moto(moto, moto.owner())
        .endpoint_of("STS", &sts.endpoint_url())
        .endpoint_of("KINESIS", &Kinesalite::shared().endpoint_url());
    let mut server = Server::start_with(Store::Embedded, settings);
    let api = server.api();
    let application = moto.create_application("GCM", "patient-role");
    let guest = api.new_user(&server.root());
    let push = json!({ "ApplicationArns": [application], "RoleArn": role });
    configure(&server, &guest.pool, &json!({ "PushSync": push }));
    api.put(&guest, "prefs", "k", "v", 0);
    subscribed(api, &guest, "GCM", "patient role", "prefs");
    stream_to(&server, &guest.pool, "patient-role", &role);
    let faults =
        [Fault::HangUp, Fault::xml_error(500, "InternalFailure"), Fault::xml_error(400, "Throttling")];
    for (count, fault) in (1..).zip(faults) {
        server.stop();
        sts.set(fault);
        server.restart();
        let asked = sts.count("AssumeRole");
        server.api().put(&guest, "prefs", "k", "v", count);
        sts.wait_for("AssumeRole", asked + 2);
        sts.set(Fault::None);
        wait_until_nothing_waits(&server, &guest.pool);
        let streams = configuration(&server, &guest.pool)["CognitoStreams"].take();
        assert_eq!(streams["StreamingStatus"], "ENABLED", "{streams}");
    }
    assert_eq!(sync_counts(&stream, 3), [2, 3, 4]);
    let endpoint = moto.endpoints(&application).remove(0);
    assert_eq!(endpoint.messages.len(), 3);
}

#[test]
fn a_push_whose_role_is_refused_waits_until_the_role_is_mended() {
    let moto = Moto::shared();
    let sts = FaultProxy::before(moto.address());
    let role = moto.create_role("refused-push", &["sns:*"]);
    let settings = at_moto(moto, moto.owner()).endpoint_of("STS", &sts.endpoint_url());
    let mut server = Server::start_with(Store::Embedded, settings);
    let application = moto.create_application("ADM", "refused-push");
    let guest = server.api().new_user(&server.root());
    let push = json!({ "ApplicationArns": [application], "RoleArn": role });
    configure(&server, &guest.pool, &json!({ "PushSync": push }));
    server.api().put(&guest, "prefs", "k", "v", 0);
    subscribed(server.api(), &guest, "ADM", "refused push", "prefs");
    server.stop();
    sts.set_for("AssumeRole", Fault::xml_error(403, "AccessDenied"));
    server.restart();
    let refused = try_register(server.api(), &guest, "ADM", "another refused");
    assert_eq!(refused.outcome(), (400, "InvalidConfigurationException".to_owned()));
    until("the log names the role", || server.log().contains(&format!("role {role}")).then_some(()));
    server.api().put(&guest, "prefs", "k", "v", 1);
    sts.wait_for("AssumeRole", 4);
    sts.set(Fault::None);
    wait_until_nothing_waits(&server, &guest.pool);
    assert_eq!(moto.endpoints(&application).remove(0).messages.len(), 1);
}

fn check(server: &Server, pool: &str) -> (Ended, Vec<String>) {
    let ended = server.try_verb(&["pool", "check", pool]);
    let lines = ended.output.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    (ended, lines)
}

/// Expects exactly one error, in a line that contains all of `words`, and one line on standard error.
fn check_fails(server: &Server, guest: &Guest, words: &[&str]) {
    let (ended, lines) = check(server, &guest.pool);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let failed: Vec<&String> = lines.iter().filter(|line| !line.starts_with("ok ")).collect();
    println!("{failed:#?}{}", ended.errors);
    assert_eq!(failed.len(), 1, "{ended:?}");
    assert!(words.iter().all(|word| failed[0].contains(word)), "{words:?} in {}", failed[0]);
    assert_eq!(ended.errors.lines().count(), 1, "{ended:?}");
    assert!(ended.errors.contains(&guest.pool), "{ended:?}");
}

#[test]
fn the_check_of_a_pool_names_each_step_and_what_is_wrong_with_it() {
    let (moto, ministack) = (Moto::shared(), MiniStack::shared_checking());
    let mut server = at_ministack(ministack, "of-the-check");
    let role = ministack.create_role("checking", &our_account(), &["kinesis:*"]);
    let function = ministack.deploy("checked-pool", UNTOUCHED, 30);
    ministack.stream("checked-pool").create(1);
    let application = moto.create_application("GCM", "checked-pool");
    let guest = server.api().new_user(&server.root());
    let push = |application: &str, role: &str| {
        let push = json!({ "ApplicationArns": [application], "RoleArn": role });
        configure(&server, &guest.pool, &json!({ "PushSync": push }));
    };
    let (ended, _) = check(&server, &guest.pool);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "nothing to check: {ended:?}");

    push(&application, &role);
    stream_to(&server, &guest.pool, "checked-pool", &role);
    set_trigger(&server, &guest.pool, &function);
    let (ended, lines) = check(&server, &guest.pool);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{ended:?}");
    assert!(lines.iter().all(|line| line.starts_with("ok ")), "{lines:#?}");
    println!("{lines:#?}");
    for step in [
        [application.as_str(), "assume the role", &role],
        [&application, "application", &application],
        ["stream checked-pool", "assume the role", &role],
        ["stream checked-pool", "stream", "checked-pool"],
        ["SyncTrigger", "credentials", &function],
        ["SyncTrigger", "invoked", &function],
    ] {
        let told = lines.iter().any(|line| step.iter().all(|word| line.contains(word)));
        assert!(told, "{step:?} in {lines:#?}");
    }

    moto.delete_application(&application);
    check_fails(&server, &guest, &[&application, "does not exist"]);
    push(&moto.create_application("GCM", "checked-again"), &role);
    stream_to(&server, &guest.pool, "missing-stream", &role);
    check_fails(&server, &guest, &["missing-stream", "ResourceNotFoundException"]);
    stream_to(&server, &guest.pool, "checked-pool", &role_arn("nobody"));
    check_fails(&server, &guest, &["stream checked-pool", &role_arn("nobody"), "AccessDenied"]);
    stream_to(&server, &guest.pool, "checked-pool", &role);
    ministack.delete_function("checked-pool");
    check_fails(&server, &guest, &[&function, "ResourceNotFoundException"]);
    // The same without a server: the command checks by itself.
    server.stop();
    check_fails(&server, &guest, &[&function, "ResourceNotFoundException"]);
}

#[test]
fn the_check_of_a_pool_says_as_json_what_it_says_as_text() {
    let moto = Moto::shared();
    let server = Server::start_with(Store::Embedded, at_moto(moto, moto.owner()));
    let there = moto.create_application("GCM", "json-there");
    let gone = moto.create_application("APNS", "json-gone");
    moto.delete_application(&gone);
    let guest = pushing_guest(&server, &[&there, &gone]);
    let ended = server.try_verb(&["pool", "check", &guest.pool, "--output", "json"]);
    assert_eq!((ended.code, ended.errors.lines().count()), (Some(1), 1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.output).unwrap();
    assert_eq!(report["IdentityPoolId"], json!(guest.pool));
    let checks = report["Checks"].as_array().unwrap();
    assert_eq!(checks.len(), 4, "{report:#}");
    assert!(checks.iter().all(|check| check["What"].is_string()), "{report:#}");
    assert!(checks[..3].iter().all(|check| check["Trouble"].is_null()), "{report:#}");
    let trouble = checks[3]["Trouble"].as_str().unwrap();
    assert!(trouble.contains("does not exist"), "{trouble}");
    let unknown = server.try_verb(&["pool", "check", "us-east-1:00000000-0000-4000-8000-000000000000"]);
    assert_eq!((unknown.code, unknown.errors.lines().count()), (Some(1), 1), "{unknown:?}");
}

#[test]
fn a_peer_that_is_away_is_named_by_the_check_and_warned_of_when_it_is_set() {
    let proxy = FaultProxy::before(Moto::shared().address());
    proxy.refuse(true);
    let settings = ["SNS", "KINESIS", "LAMBDA", "STS"]
        .into_iter()
        .fold(ServerSettings::default().acting_as(Moto::shared().owner()), |settings, service| {
            settings.endpoint_of(service, &proxy.endpoint_url())
        });
    let server = Server::start_with(Store::Embedded, settings);
    let pool = server.api().new_pool(&server.root());
    let application = "arn:aws:sns:us-east-1:123456789012:app/GCM/unreachable-app";
    let role = "arn:aws:iam::123456789012:role/unreachable-role";
    let function = "arn:aws:lambda:us-east-1:123456789012:function:unreachable-function";

    configure(&server, &pool, &json!({ "PushSync": { "ApplicationArns": [application] } }));
    wait_for_warning(&server, &pool, application);
    stream_to(&server, &pool, "unreachable-stream", role);
    wait_for_warning(&server, &pool, role);
    set_trigger(&server, &pool, function);
    wait_for_warning(&server, &pool, function);
    // Settings are accepted unchecked: a peer that is unreachable today may exist tomorrow.
    let kept = configuration(&server, &pool);
    assert_eq!(kept["PushSync"]["ApplicationArns"], json!([application]));
    assert_eq!(kept["CognitoStreams"]["StreamingStatus"], "ENABLED");

    let (ended, lines) = check(&server, &pool);
    assert_eq!((ended.code, ended.errors.lines().count()), (Some(1), 1), "{ended:?}");
    println!("{lines:#?}");
    for name in [application, role, function] {
        let failed = |line: &&String| line.starts_with("FAILED") && line.contains(name);
        let line = lines.iter().find(failed).unwrap_or_else(|| panic!("{name} in {lines:#?}"));
        assert!(line.to_lowercase().contains("connect"), "{line}");
    }
}

/// Waits for a log line that warns of `name` among a pool's settings, with the error.
fn wait_for_warning(server: &Server, pool: &str, name: &str) {
    until(&format!("a warning of {name}"), || {
        let log = server.log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let warnings = lines.filter(|line| line["level"] == "WARN" && line["pool"] == pool);
        let mut of_it = warnings.filter(|line| line["what"].as_str().is_some_and(|what| what.contains(name)));
        of_it.any(|line| line["trouble"].as_str().is_some_and(|trouble| !trouble.is_empty())).then_some(())
    });
}

#[test]
fn a_stream_that_its_owner_switched_off_is_no_trouble() {
    let kinesalite = Kinesalite::shared();
    kinesalite.stream("owner-off").create(1);
    let anybody = Caller::developer("AKIAANYBODY000000000", "anything");
    let settings = ServerSettings::default().acting_as(&anybody);
    let settings = settings.endpoint_of("KINESIS", &kinesalite.endpoint_url());
    let server = Server::start_with(Store::Embedded, settings);
    let guest = server.api().new_user(&server.root());
    let streams = json!({ "StreamName": "owner-off", "StreamingStatus": "DISABLED" });
    configure(&server, &guest.pool, &json!({ "CognitoStreams": streams }));
    let (ended, lines) = check(&server, &guest.pool);
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""), "{ended:?}");
    assert!(lines.iter().any(|line| line.contains("owner-off")), "{lines:?}");
    // The check in the background is the same, and began before this one.
    assert!(!server.log().contains("a setting of the pool cannot be used"));
}

#[test]
fn the_check_of_a_pool_tries_the_bucket_for_large_objects_too() {
    let (moto, kinesalite) = (Moto::shared(), Kinesalite::shared());
    kinesalite.stream("with-a-bucket").create(1);
    let settings = ServerSettings::default()
        .configuration("[large_objects]\nbucket = \"of-the-check\"\n")
        .acting_as(moto.owner())
        .endpoint_of("KINESIS", &kinesalite.endpoint_url())
        .endpoint_of("S3", &moto.endpoint_url());
    let server = Server::start_with(Store::Embedded, settings);
    let guest = server.api().new_user(&server.root());
    let streams = json!({ "StreamName": "with-a-bucket", "StreamingStatus": "ENABLED" });
    configure(&server, &guest.pool, &json!({ "CognitoStreams": streams }));
    check_fails(&server, &guest, &["large objects", "of-the-check", "NoSuchBucket"]);
    moto.bucket("of-the-check").create();
    let (ended, lines) = check(&server, &guest.pool);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(lines.iter().any(|line| line.contains("of-the-check")), "{lines:?}");
}

/// A refusal with a delay, during which the pool's settings change.
fn stream_is_gone_later() -> Fault {
    match Fault::json_error(400, "ResourceNotFoundException") {
        Fault::Answer(answer) => Fault::Answer(answer.after_milliseconds(700)),
        other => other,
    }
}

#[test]
fn a_refusal_of_what_was_set_before_does_not_count_against_what_is_set_now() {
    let anybody = Caller::developer("AKIAANYBODY000000000", "anything");
    let proxy = FaultProxy::before(Kinesalite::shared().address());
    let settings = ServerSettings::default().acting_as(&anybody);
    let settings = settings.endpoint_of("KINESIS", &proxy.endpoint_url());
    let server = Server::start_with(Store::Embedded, settings);
    let streams = |pool: &str, name: &str| {
        let streams = json!({ "StreamName": name, "StreamingStatus": "ENABLED" });
        configure(&server, pool, &json!({ "CognitoStreams": streams }));
    };
    for (before, now) in [("set-before", "set-now"), ("set-again", "set-again")] {
        let stream = Kinesalite::shared().stream(now);
        stream.create(1);
        let guest = server.api().new_user(&server.root());
        streams(&guest.pool, before);
        let asked = proxy.count("PutRecord");
        proxy.set_for_next(1, "PutRecord", stream_is_gone_later());
        server.api().put(&guest, "prefs", "k", "v", 0);
        proxy.wait_for("PutRecord", asked + 1);
        streams(&guest.pool, now);
        assert_eq!(sync_counts(&stream, 1), [1], "from {before} to {now}");
        let streams = configuration(&server, &guest.pool)["CognitoStreams"].take();
        assert_eq!(streams["StreamingStatus"], "ENABLED", "from {before} to {now}");
    }
}
