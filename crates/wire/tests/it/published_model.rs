//! The operation table compared with the models that AWS publishes, read from an installed botocore.

// With this attribute clippy treats the helper functions here as test code.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fmt;
use std::process::Command;
use std::sync::LazyLock;

use carryall_wire::fault::FaultKind;
use carryall_wire::shapes::{
    CognitoIdentityProvider, CognitoStreams, Dataset, IdentityDescription, IdentityPoolUsage, IdentityUsage,
    MappingRule, PushSync, Record, RoleMapping, RulesConfiguration,
};
use carryall_wire::spec::{Access, Bind, Operation, OperationName, Service, Source, Spec, Visitor};
use carryall_wire::{ops, spec};
use serde::Deserialize;
use serde::de::Deserializer;
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// The models by signing name, which is also botocore's name.
static MODELS: LazyLock<Value> = LazyLock::new(|| {
    let python = std::env::var("CARRYALL_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let advice = format!(
        "this test compares the operation table with the models inside botocore: install it with \
         `{python} -m pip install botocore`, or name an interpreter that has it in CARRYALL_TEST_PYTHON"
    );
    let output = Command::new(&python)
        .args(["-c", include_str!("published_model.py")])
        .output()
        .unwrap_or_else(|error| panic!("{python} cannot be run ({error}); {advice}"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{python} failed ({complaint}); {advice}");
    serde_json::from_slice(&output.stdout).expect("models as JSON")
});

fn model(service: Service) -> &'static Value {
    &MODELS[service.signing_name()]
}

fn member_names(service: Service, shape: &str) -> BTreeSet<String> {
    let members = &model(service)["shapes"][shape]["members"];
    members.as_object().into_iter().flat_map(|members| members.keys().cloned()).collect()
}

/// The names of a type's members as serde knows them: the type is deserialized from this, which records them.
struct Probe;

#[derive(Debug)]
struct Members(BTreeSet<String>);

impl fmt::Display for Members {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("not a structure")
    }
}

impl std::error::Error for Members {}

impl serde::de::Error for Members {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self(BTreeSet::new())
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Members;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Members> {
        panic!("only structures are asked for their members")
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Members> {
        Err(Members(fields.iter().map(|&field| field.to_owned()).collect()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn members_of<T: Deserialize<'static>>() -> BTreeSet<String> {
    match T::deserialize(Probe) {
        Err(Members(members)) => members,
        Ok(_) => panic!("the probe never reads anything"),
    }
}

/// The model's declaration of one operation.
fn published(spec: &Spec) -> &'static Value {
    let operation = &model(spec.service)["operations"][spec.name.as_str()];
    assert!(operation.is_object(), "{} is not in the model", spec.name.as_str());
    operation
}

fn shape_name(operation: &Value, side: &str) -> Option<String> {
    operation[side]["shape"].as_str().map(str::to_owned)
}

/// Members that only later editions of the models have: ignored in requests, absent from answers.
const LATER_MEMBERS: &[(&str, &str)] = &[
    ("AssumeRoleWithWebIdentity", "MinimumSessionTokenSize"),
    ("AssumeRoleWithWebIdentity", "SessionTokenSize"),
    ("AssumeRoleWithWebIdentity", "SessionTokenUtilization"),
];

struct Compare;

impl Visitor for Compare {
    type Answer = ();

    fn visit<O: Operation>(self) {
        let (spec, name) = (O::SPEC, O::SPEC.name.as_str());
        let operation = published(&spec);
        let http = &operation["http"];
        assert_eq!(http["method"].as_str(), Some(spec.method.as_str()), "{name}");
        assert_eq!(http["requestUri"].as_str(), Some(spec.path), "{name}");
        for (side, members) in [("input", members_of::<O::Input>()), ("output", members_of::<O::Output>())] {
            let expected = shape_name(operation, side).map(|shape| member_names(spec.service, &shape));
            let mut expected = expected.unwrap_or_default();
            expected.retain(|member| !LATER_MEMBERS.contains(&(name, member.as_str())));
            assert_eq!(members, expected, "{name} {side}");
        }
        let is_unsigned = operation["authtype"].as_str() == Some("none");
        assert_eq!(is_unsigned, spec.access == Access::Public, "{name}");
        compare_bindings(&spec, operation);
        compare_faults(&spec, operation);
    }
}

fn compare_bindings(spec: &Spec, operation: &Value) {
    let shape = shape_name(operation, "input").unwrap_or_default();
    let members = model(spec.service)["shapes"][&shape]["members"].as_object();
    let located = members.into_iter().flatten().filter_map(|(member, of)| {
        let place = of["location"].as_str()?;
        Some((member.clone(), place.to_owned(), of["locationName"].as_str().unwrap_or_default().to_owned()))
    });
    let expected: BTreeSet<_> = located.collect();
    let bound = |bind: &Bind| {
        let place = match bind.from {
            Source::Label => "uri",
            Source::Query(_) => "querystring",
            Source::Header(_) => "header",
        };
        (bind.member.to_owned(), place.to_owned(), bind.wire_name().to_owned())
    };
    let actual: BTreeSet<_> = spec.binds.iter().map(bound).collect();
    assert_eq!(actual, expected, "{}", spec.name.as_str());
    assert_eq!(actual.len(), spec.binds.len(), "{}", spec.name.as_str());
}

fn compare_faults(spec: &Spec, operation: &Value) {
    let name = spec.name.as_str();
    let listed = operation["errors"].as_array().cloned().unwrap_or_default();
    let described = |error: &Value| {
        let shape = error["shape"].as_str().expect("an error has a shape");
        let shape_model = &model(spec.service)["shapes"][shape];
        let code = shape_model["error"]["code"].as_str().unwrap_or(shape).to_owned();
        let default_status = if shape_model["fault"] == true { 500 } else { 400 };
        (code, shape_model["error"]["httpStatusCode"].as_u64().unwrap_or(default_status))
    };
    let expected: BTreeSet<_> = listed.iter().map(described).collect();
    let fault = |kind: &FaultKind| (kind.name(spec.service).to_owned(), u64::from(kind.status(spec.service)));
    let actual: BTreeSet<_> = spec.faults.iter().map(fault).collect();
    assert_eq!(actual, expected, "{name}");
    assert_eq!(actual.len(), spec.faults.len(), "{name}");
}

#[test]
fn every_operation_is_as_published() {
    for name in OperationName::ALL {
        name.visit(Compare);
    }
}

#[test]
fn every_published_operation_of_sync_is_in_the_table() {
    let published = model(Service::Sync)["operations"].as_object().expect("operations");
    for name in published.keys() {
        assert!(OperationName::parse(Service::Sync, name).is_some(), "{name}");
    }
}

#[test]
fn names_in_signatures_and_targets_are_as_published() {
    for service in [Service::Sync, Service::Identity, Service::Sts] {
        let metadata = &model(service)["metadata"];
        let signing_name = metadata["signingName"].as_str().or(metadata["endpointPrefix"].as_str());
        assert_eq!(signing_name, Some(service.signing_name()));
    }
    let target = model(Service::Identity)["metadata"]["targetPrefix"].as_str().expect("a target");
    assert_eq!(Service::Identity.target_prefix(), Some(format!("{target}.").as_str()));
}

#[test]
fn the_thirteen_published_faults_of_sync_are_all_known() {
    let shapes = model(Service::Sync)["shapes"].as_object().expect("shapes");
    let exceptions: BTreeSet<_> = shapes
        .iter()
        .filter(|(_, shape)| shape["exception"] == true)
        .map(|(name, _)| name.as_str())
        .collect();
    let is_sync = |spec: &&&Spec| spec.service == Service::Sync;
    let known: BTreeSet<_> = spec::OPERATIONS
        .iter()
        .filter(is_sync)
        .flat_map(|spec| spec.faults)
        .map(|kind| kind.name(Service::Sync))
        .collect();
    assert_eq!(known, exceptions);
    assert_eq!(known.len(), 13);
}

fn assert_shape<T: Deserialize<'static>>(service: Service, shape: &str) {
    assert_eq!(members_of::<T>(), member_names(service, shape), "{shape}");
}

#[test]
fn nested_structures_are_as_published() {
    use Service::{Identity, Sts, Sync};
    assert_shape::<Dataset>(Sync, "Dataset");
    assert_shape::<Record>(Sync, "Record");
    assert_shape::<ops::sync::update_records::RecordPatch>(Sync, "RecordPatch");
    assert_shape::<IdentityPoolUsage>(Sync, "IdentityPoolUsage");
    assert_shape::<IdentityUsage>(Sync, "IdentityUsage");
    assert_shape::<PushSync>(Sync, "PushSync");
    assert_shape::<CognitoIdentityProvider>(Identity, "CognitoIdentityProvider");
    assert_shape::<IdentityDescription>(Identity, "IdentityDescription");
    assert_shape::<RoleMapping>(Identity, "RoleMapping");
    assert_shape::<RulesConfiguration>(Identity, "RulesConfigurationType");
    assert_shape::<MappingRule>(Identity, "MappingRule");
    assert_shape::<ops::identity::delete_identities::UnprocessedIdentityId>(
        Identity,
        "UnprocessedIdentityId",
    );
    assert_shape::<ops::identity::get_credentials_for_identity::Credentials>(Identity, "Credentials");
    assert_shape::<ops::identity::list_identity_pools::IdentityPoolShortDescription>(
        Identity,
        "IdentityPoolShortDescription",
    );
    assert_shape::<ops::sts::assume_role_with_web_identity::Credentials>(Sts, "Credentials");
    assert_shape::<ops::sts::assume_role_with_web_identity::AssumedRoleUser>(Sts, "AssumedRoleUser");
    assert_shape::<ops::sts::assume_role_with_web_identity::PolicyDescriptor>(Sts, "PolicyDescriptorType");

    let mut streams = member_names(Sync, "CognitoStreams");
    assert!(streams.insert("DisabledReason".to_owned()), "the API documents have it, the models never had");
    assert_eq!(members_of::<CognitoStreams>(), streams);
}
