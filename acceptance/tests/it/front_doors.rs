//! One port, several protocols: the documented RPC form of Sync, the other services, probes, and unknown
//! requests.

use carryall_acceptance::api::{encoded, succeeded};
use carryall_acceptance::{Api, Caller, Connection, Guest, Request, Response, Server, Signing};
use serde_json::{Value, json};

use crate::on_every_store;

on_every_store!(
    the_rpc_form_answers_in_its_envelope,
    the_rpc_form_refuses_by_name,
    a_bare_body_is_answered_bare,
    what_is_no_operation_is_refused_with_a_well_formed_error,
    a_known_path_with_another_method_is_refused,
    the_override_header_reaches_the_operation_that_it_names,
    probes_answer_without_a_signature,
    metrics_count_requests_and_name_nobody,
    a_connection_serves_many_requests,
);

const TARGET: &str = "com.amazonaws.cognito.sync.model.AWSCognitoSyncService";

fn rpc(api: Api, caller: Option<&Caller>, operation: &str, body: &Value) -> Response {
    let request = Request::new("POST", "/")
        .header("X-AMZ-TARGET", format!("{TARGET}.{operation}"))
        .header("Content-Type", "application/json")
        .body(body.to_string());
    match caller {
        Some(caller) => api.send(&api.signed(caller, request)),
        None => api.send(&request),
    }
}

fn enveloped(operation: &str, input: &Value) -> Value {
    json!({
        "Operation": format!("com.amazonaws.cognito.sync.model#{operation}"),
        "Service": "com.amazonaws.cognito.sync.model#AWSCognitoSyncService",
        "Input": input,
    })
}

fn dataset_of(guest: &Guest) -> Value {
    json!({ "IdentityPoolId": guest.pool, "IdentityId": guest.identity, "DatasetName": "prefs" })
}

fn the_rpc_form_answers_in_its_envelope(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let who = Some(&guest.caller);
    let listing = succeeded(&rpc(api, who, "ListRecords", &enveloped("ListRecords", &dataset_of(&guest))));
    assert_eq!(listing["Version"], "1.0");
    assert_eq!(listing["Output"]["__type"], "com.amazonaws.cognito.sync.model#ListRecordsResponse");
    assert_eq!(listing["Output"]["DatasetExists"], false);

    let mut input = dataset_of(&guest);
    input["SyncSessionToken"] = listing["Output"]["SyncSessionToken"].clone();
    input["RecordPatches"] = json!([
        { "Op": "replace", "Key": "a", "Value": "1", "SyncCount": 0 },
        { "Op": "replace", "Key": "b", "Value": "2", "SyncCount": 0 },
    ]);
    let answer = succeeded(&rpc(api, who, "UpdateRecords", &enveloped("UpdateRecords", &input)));
    assert_eq!(answer["Output"]["Records"][0]["SyncCount"], 1);

    let mut input = dataset_of(&guest);
    input["MaxResults"] = json!("1");
    let page = succeeded(&rpc(api, who, "ListRecords", &enveloped("ListRecords", &input)));
    assert_eq!(
        page["Output"]["Records"].as_array().unwrap().len(),
        1,
        "a page size as text is taken: {page}"
    );

    let input = json!({ "IdentityPoolId": guest.pool, "Events": { "SyncTrigger": "" } });
    let answer = succeeded(&rpc(
        api,
        Some(&server.root()),
        "SetCognitoEvents",
        &enveloped("SetCognitoEvents", &input),
    ));
    assert_eq!(
        answer["Output"],
        json!({ "__type": "com.amazonaws.cognito.sync.model#SetCognitoEventsResponse" })
    );
}

fn the_rpc_form_refuses_by_name(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut input = dataset_of(&guest);
    let missing = rpc(api, Some(&guest.caller), "DescribeDataset", &enveloped("DescribeDataset", &input));
    assert_eq!(missing.outcome(), (404, "ResourceNotFoundException".to_owned()));
    assert_eq!(missing.get("x-amzn-errortype"), Some("ResourceNotFoundException:"));
    let unsigned = rpc(api, None, "DescribeDataset", &enveloped("DescribeDataset", &input));
    assert_eq!(unsigned.outcome(), (403, "MissingAuthenticationTokenException".to_owned()));
    input["IdentityId"] = json!("us-east-1:0");
    let foreign = rpc(api, Some(&guest.caller), "DescribeDataset", &enveloped("DescribeDataset", &input));
    assert_eq!(foreign.outcome(), (403, "NotAuthorizedException".to_owned()));
    let unlike =
        rpc(api, Some(&guest.caller), "ListRecords", &enveloped("DeleteDataset", &dataset_of(&guest)));
    assert!((400..500).contains(&unlike.status), "target and envelope name different operations: {unlike:?}");
}

fn a_bare_body_is_answered_bare(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let listing = succeeded(&rpc(api, Some(&guest.caller), "ListRecords", &dataset_of(&guest)));
    assert_eq!(listing["DatasetExists"], false, "{listing}");
    assert!(listing.get("Output").is_none(), "{listing}");
}

/// Checks that the answer is a well-formed AWS error: header, body and request id agree.
fn assert_well_formed(what: &str, answer: &Response) {
    assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
    assert!(answer.get("x-amzn-requestid").is_some(), "{what}: {answer:?}");
    let name = answer.error();
    assert!(!name.is_empty(), "{what}: {}", answer.text());
    if answer.get("content-type").is_some_and(|kind| kind.contains("json")) {
        assert_eq!(answer.get("x-amzn-errortype"), Some(&*format!("{name}:")), "{what}");
        assert!(answer.json()["message"].is_string(), "{what}: {}", answer.text());
    }
}

fn what_is_no_operation_is_refused_with_a_well_formed_error(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let signed = |request: Request| api.send(&api.signed(&guest.caller, request));
    for target in [
        "/nothing",
        "/identitypools/x/y/z",
        "/identitypool",
        "/index.html",
        "/identitypools/a/identities/b/datasets/c/records/d",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            let answer = signed(Request::new(method, target));
            assert_well_formed(target, &answer);
            assert_eq!(answer.outcome(), (404, "UnknownOperationException".to_owned()), "{method} {target}");
        }
    }
    for (service, target) in [
        ("cognito-sync", format!("{TARGET}.FormatDisk")),
        ("cognito-identity", "AWSCognitoIdentityService.FormatDisk".to_owned()),
        ("cognito-sync", "Nobody.ListRecords".to_owned()),
    ] {
        let request = Request::new("POST", "/")
            .header("X-Amz-Target", &*target)
            .header("Content-Type", "application/x-amz-json-1.1")
            .body("{}");
        let signed = Signing::by(&guest.caller, service).headers(request, api.address);
        let answer = api.send(&signed);
        assert_well_formed(&target, &answer);
        assert_eq!(answer.error(), "UnknownOperationException", "{target}");
    }
    assert_well_formed("POST / with nothing", &api.send(&Request::new("POST", "/")));
    assert_well_formed("GET /", &api.send(&Request::new("GET", "/")));
    let action = api.sts(Some(&server.root()), &[("Action", "FormatDisk")]);
    assert!((400..500).contains(&action.status) && action.text().contains("<Code>"), "{}", action.text());
}

fn a_known_path_with_another_method_is_refused(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    let paths = [
        (guest.dataset("prefs"), "PUT"),
        (guest.records("prefs"), "POST"),
        (guest.records("prefs"), "PATCH"),
    ];
    for (target, method) in paths {
        let answer = api.send(&api.signed(&guest.caller, Request::new(method, &*target)));
        assert_well_formed(&target, &answer);
        assert_eq!(answer.outcome(), (405, "UnknownOperationException".to_owned()), "{method} {target}");
    }
    assert_eq!(api.list(&guest, "prefs")["DatasetSyncCount"], 1);
}

fn the_override_header_reaches_the_operation_that_it_names(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    // The request is signed as the POST that it is, so the override would change the signed method.
    let request = api.signed(&guest.caller, Request::new("POST", guest.dataset("prefs")).body("{}"));
    let answer = api.send(&request.header("X-HTTP-Method-Override", "DELETE"));
    assert_eq!(answer.outcome(), (403, "InvalidSignatureException".to_owned()));
    assert_eq!(api.list(&guest, "prefs")["DatasetExists"], true);
}

fn probes_answer_without_a_signature(server: &mut Server) {
    for target in ["/health/live", "/health/ready"] {
        assert_eq!(server.api().send(&Request::new("GET", target)).status, 200, "{target}");
    }
}

fn metrics_count_requests_and_name_nobody(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    api.put(&guest, "prefs", "k", "v", 0);
    let answer = api.send(&Request::new("GET", "/metrics"));
    assert_eq!(answer.status, 200);
    let text = answer.text();
    assert!(text.contains("UpdateRecords"), "{text}");
    assert!(!text.contains(&guest.pool) && !text.contains(&guest.identity), "labels carry no ids");
}

fn a_connection_serves_many_requests(server: &mut Server) {
    let api = server.api();
    let guest = api.new_user(&server.root());
    let mut connection = Connection::open(api.address).unwrap();
    let request = api.signed(&guest.caller, Request::new("GET", guest.records("prefs")));
    for _ in 0..20 {
        assert_eq!(connection.exchange(&request).unwrap().status, 200);
    }
    // Two requests in one write are answered in order.
    let mut both = request.bytes(api.address);
    let datasets =
        format!("/identitypools/{}/identities/{}/datasets", encoded(&guest.pool), encoded(&guest.identity));
    both.extend(api.signed(&guest.caller, Request::new("GET", datasets)).bytes(api.address));
    connection.send(&both).unwrap();
    assert!(connection.answer().unwrap().json()["Records"].is_array());
    assert!(connection.answer().unwrap().json()["Datasets"].is_array());
}
