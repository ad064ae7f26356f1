//! The operation table's own consistency: rows are unique and complete, and their examples survive a round
//! trip.

// With this attribute clippy treats the helper functions here as test code.
#![cfg(test)]

use std::collections::HashSet;

use carryall_wire::codec::{self, Dialect, Request, Routed, Wrapping};
use carryall_wire::fault::FaultKind;
use carryall_wire::names::Names;
use carryall_wire::spec::{
    Access, Bind, OPERATIONS, Operation, OperationName, Service, Source, Spec, Visitor,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

fn of(service: Service) -> impl Iterator<Item = &'static Spec> {
    OPERATIONS.iter().copied().filter(move |spec| spec.service == service)
}

#[test]
fn the_table_has_every_operation_once() {
    assert_eq!(of(Service::Sync).count(), 17);
    assert_eq!(of(Service::Identity).count(), 13);
    assert_eq!(of(Service::Sts).count(), 2);
    let names: HashSet<_> = OPERATIONS.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names.len(), OPERATIONS.len());
    let listed: Vec<_> = OPERATIONS.iter().map(|spec| spec.name).collect();
    assert_eq!(listed, OperationName::ALL);
}

#[test]
fn a_name_is_found_in_its_own_service_alone() {
    for spec in OPERATIONS {
        for service in [Service::Sync, Service::Identity, Service::Sts] {
            let expected = (service == spec.service).then_some(spec.name);
            assert_eq!(OperationName::parse(service, spec.name.as_str()), expected);
        }
    }
}

#[test]
fn an_operation_has_one_name_in_two_spellings() {
    for spec in OPERATIONS {
        let joined: String = spec.name.file_name().split('_').map(capitalised).collect();
        assert_eq!(joined, spec.name.as_str());
    }
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}

#[test]
fn method_and_path_are_unique_in_sync_and_one_door_elsewhere() {
    let places: HashSet<_> = of(Service::Sync).map(|spec| (spec.method, spec.path)).collect();
    assert_eq!(places.len(), 17);
    for spec in of(Service::Identity).chain(of(Service::Sts)) {
        assert_eq!(
            (spec.method.as_str(), spec.path, spec.binds),
            ("POST", "/", &[][..]),
            "{}",
            spec.name.as_str()
        );
    }
}

#[test]
fn labels_of_the_path_are_the_labels_among_the_bindings() {
    for spec in OPERATIONS {
        let in_path: Vec<_> =
            spec.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let is_label = |bind: &&Bind| bind.from == Source::Label;
        let bound: Vec<_> = spec.binds.iter().filter(is_label).map(|bind| bind.member).collect();
        assert_eq!(in_path, bound, "{}", spec.name.as_str());
    }
}

#[test]
fn access_is_divided_as_the_documents_say() {
    let count = |service, access| of(service).filter(|spec| spec.access == access).count();
    assert_eq!(count(Service::Sync, Access::Developer), 8);
    assert_eq!(count(Service::Sync, Access::Identity), 3);
    assert_eq!(count(Service::Sync, Access::Either), 6);
    assert_eq!(count(Service::Identity, Access::Public), 3);
    assert_eq!(count(Service::Identity, Access::Developer), 10);
    assert_eq!(count(Service::Sts, Access::Public), 1);
    assert_eq!(count(Service::Sts, Access::AnySigned), 1);
}

#[test]
fn every_modelled_fault_is_modelled_by_some_operation() {
    for kind in FaultKind::ALL {
        let is_modelled = OPERATIONS.iter().any(|spec| spec.faults.contains(kind));
        assert!(is_modelled || kind.is_protocol(), "{kind:?}");
        assert!(OPERATIONS.iter().any(|spec| spec.allows(*kind)), "{kind:?}");
    }
    let update = OperationName::UpdateRecords.spec();
    assert!(update.allows(FaultKind::ResourceConflict));
    assert!(!OperationName::ListRecords.spec().allows(FaultKind::ResourceNotFound));
    assert!(!OperationName::BulkPublish.spec().allows(FaultKind::InvalidConfiguration));
}

/// Sends a built request through routing and decoding, and returns the input as JSON without nulls.
fn received<O: Operation>(request: &Request) -> Value {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(*name).expect("a header name");
        headers.insert(name, HeaderValue::try_from(value).expect("a header value"));
    }
    let (path, query) = match request.path_and_query.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (request.path_and_query.as_str(), None),
    };
    let routed =
        codec::route(request.method.as_str(), path, query, &headers).expect("a request of the table");
    let route = match routed {
        Routed::Operation(route) => route,
        Routed::Form(form) => form.resolve(&request.body).expect("a known action"),
    };
    assert_eq!(route.operation, O::SPEC.name);
    let decoded = codec::decode::<O>(&route, &request.body).expect("a readable request");
    assert_eq!(decoded.dialect.service(), O::SPEC.service);
    serde_json::to_value(decoded.input).expect("an input")
}

struct RoundTrip;

impl Visitor for RoundTrip {
    type Answer = ();

    fn visit<O: Operation>(self) {
        let name = O::SPEC.name.as_str();
        let example: Value = serde_json::from_str(O::SPEC.example.input).expect(name);
        let input: O::Input = serde_json::from_str(O::SPEC.example.input).expect(name);
        let request = codec::request::<O>(&input).expect(name);
        assert_eq!(received::<O>(&request), example, "{name}");
        if O::SPEC.service == Service::Sync {
            let enveloped = serde_json::json!({
                "Operation": format!("com.amazonaws.cognito.sync.model#{name}"),
                "Service": "com.amazonaws.cognito.sync.model#AWSCognitoSyncService",
                "Input": example,
            });
            for body in [&enveloped, &example] {
                let target = format!("com.amazonaws.cognito.sync.model.AWSCognitoSyncService.{name}");
                let rpc = Request {
                    method: carryall_wire::spec::Method::Post,
                    path_and_query: "/".to_owned(),
                    headers: vec![("x-amz-target", target)],
                    body: body.to_string().into_bytes(),
                };
                assert_eq!(received::<O>(&rpc), example, "{name}");
            }
        }

        let example: Value = serde_json::from_str(O::SPEC.example.output).expect(name);
        let output: O::Output = serde_json::from_str(O::SPEC.example.output).expect(name);
        assert_eq!(serde_json::to_value(&output).expect(name), example, "{name}");
        match O::SPEC.service {
            Service::Sync => {
                let answer =
                    codec::encode::<O>(Dialect::Rpc(Wrapping::Enveloped), "id", &output, None).expect(name);
                let mut answer: Value = serde_json::from_slice(&answer.body).expect(name);
                let kind = answer["Output"].as_object_mut().expect(name).remove("__type");
                assert_eq!(kind, Some(format!("com.amazonaws.cognito.sync.model#{name}Response").into()));
                assert_eq!(answer, serde_json::json!({"Output": example, "Version": "1.0"}));
            }
            Service::Identity => {
                let answer = codec::encode::<O>(Dialect::Json, "id", &output, None).expect(name);
                assert_eq!(serde_json::from_slice::<Value>(&answer.body).expect(name), example);
            }
            Service::Sts => {
                let answer = codec::encode::<O>(Dialect::Query, "id", &output, None).expect(name);
                let answer = String::from_utf8(answer.body).expect(name);
                for member in example.as_object().expect(name).keys() {
                    assert!(answer.contains(&format!("<{member}>")), "{name}: {answer}");
                }
            }
        }
    }
}

#[test]
fn every_example_survives_the_way_to_the_server_and_back_in_every_dialect() {
    for name in OperationName::ALL {
        name.visit(RoundTrip);
    }
}

struct NamesOfTheExample;

impl Visitor for NamesOfTheExample {
    type Answer = ();

    fn visit<O: Operation>(self) {
        let name = O::SPEC.name.as_str();
        let example: Value = serde_json::from_str(O::SPEC.example.input).expect(name);
        let input: O::Input = serde_json::from_str(O::SPEC.example.input).expect(name);
        let member = |member: &str| example.get(member).and_then(Value::as_str);
        let named = (input.pool(), input.identity(), input.dataset());
        assert_eq!(named, (member("IdentityPoolId"), member("IdentityId"), member("DatasetName")), "{name}");
    }
}

#[test]
fn an_input_gives_the_pool_identity_and_dataset_that_it_names() {
    for name in OperationName::ALL {
        name.visit(NamesOfTheExample);
    }
}

/// Dispatches as a server does: the arguments are tokens that the table passes through.
macro_rules! rows {
    ({$run:ident $arguments:tt} $($service:ident { $($module:ident :: $name:ident $named:tt,)* })*) => {
        vec![$($($run::<carryall_wire::ops::$service::$module::$name> $arguments,)*)*]
    };
}

#[test]
fn a_macro_of_another_crate_gets_every_row_with_its_own_tokens() {
    fn row<O: Operation>(prefix: &str) -> String {
        format!("{prefix}{}", O::SPEC.name.as_str())
    }
    let listed: Vec<String> = carryall_wire::operations!(rows, row("#"));
    let expected: Vec<String> = OPERATIONS.iter().map(|spec| format!("#{}", spec.name.as_str())).collect();
    assert_eq!(listed, expected);
}

/// Every list and object in an example, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Array(items) => (0..).zip(items).map(|(number, item)| (format!("{number}"), item)).collect(),
        Value::Object(members) => members.iter().map(|(name, member)| (name.clone(), member)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    found.push(at.to_owned());
    for (name, value) in inner {
        places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
    }
}

/// Fills one list or object of the example with far more entries than any operation needs.
fn filled(example: &Value, place: &str) -> Value {
    let entries = if place == "/RecordPatches" { 20_000 } else { 1_000 };
    let mut filled = example.clone();
    match filled.pointer_mut(place).expect("a place") {
        Value::Array(items) => *items = vec![items[0].clone(); entries],
        Value::Object(members) => {
            let value = members.values().next().cloned().unwrap_or_default();
            members.extend((0..entries).map(|number| (format!("x{number}"), value.clone())));
        }
        other => panic!("{other} has no entries"),
    }
    filled
}

struct Overfull;

impl Visitor for Overfull {
    type Answer = ();

    fn visit<O: Operation>(self) {
        let name = O::SPEC.name.as_str();
        let example: Value = serde_json::from_str(O::SPEC.example.input).expect(name);
        let mut found = Vec::new();
        places(&example, "", &mut found);
        for place in found {
            let filled = filled(&example, &place);
            let read = serde_json::from_value::<O::Input>(filled.clone());
            match read {
                // A structure ignores members that it does not have.
                Ok(input) => {
                    assert!(
                        filled.pointer(&place).is_some_and(Value::is_object),
                        "{name}{place} has no limit"
                    );
                    assert_eq!(
                        serde_json::to_value(input).expect(name),
                        example,
                        "{name}{place} has no limit"
                    );
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("Member must have length less than or equal to"),
                        "{name}{place}: {text}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_list_and_map_of_every_input_has_a_limit() {
    for name in OperationName::ALL {
        name.visit(Overfull);
    }
}
