//! The SDKs that run as scripts: boto3, the AWS CLI and JS v3. Their expectations are in `clients/`, and are
//! the same whether or not the pools have a trigger, a stream and push.

use carryall_acceptance::peers::until;
use carryall_acceptance::{Effects, Script, Server, Store};

use crate::on_every_store;
use crate::relay::metric;

on_every_store!(
    boto3_gets_what_every_operation_answers,
    boto3_gets_every_refusal_by_its_name,
    boto3_manages_pools_and_guests,
    boto3_signs_and_is_refused_as_it_expects,
    the_javascript_sdk_v3_works_with_its_own_credential_provider,
);

fn boto3_gets_what_every_operation_answers(server: &mut Server) {
    Script::Python("operations.py").run(server);
}

fn boto3_gets_every_refusal_by_its_name(server: &mut Server) {
    Script::Python("errors.py").run(server);
}

fn boto3_manages_pools_and_guests(server: &mut Server) {
    Script::Python("identity.py").run(server);
}

fn boto3_signs_and_is_refused_as_it_expects(server: &mut Server) {
    Script::Python("signatures.py").run(server);
}

fn the_javascript_sdk_v3_works_with_its_own_credential_provider(server: &mut Server) {
    Script::Node("v3.mjs").run(server);
}

#[test]
fn the_command_line_of_aws_takes_the_tour() {
    Script::Python("tour.py").run(&Server::start(Store::Embedded));
}

/// Runs a script whose pools have effects. Effects must take place, and none may fail.
fn with_effects(script: Script) {
    let server = Effects::shared().start_server();
    script.run(&server);
    let deliveries = |sink: &str, outcome: &str| {
        metric(&server, &format!("carryall_deliveries_total{{sink=\"{sink}\",outcome=\"{outcome}\"}}"))
    };
    let calls =
        |outcome: &str| metric(&server, &format!("carryall_trigger_calls_total{{outcome=\"{outcome}\"}}"));
    assert!(calls("ok") > 0);
    until("the stream gets changes", || (deliveries("stream", "delivered") > 0).then_some(()));
    for outcome in ["throttled", "timed_out", "unusable"] {
        assert_eq!(calls(outcome), 0, "calls of the trigger that were {outcome}");
    }
    for sink in ["stream", "device"] {
        assert_eq!((deliveries(sink, "failed"), deliveries(sink, "parked")), (0, 0), "{sink}");
    }
    eprintln!(
        "{script:?}: {} calls of the trigger, {} events streamed, {} pushed",
        calls("ok"),
        deliveries("stream", "delivered"),
        deliveries("device", "delivered")
    );
}

#[test]
fn boto3_gets_the_same_answers_from_pools_with_a_trigger_a_stream_and_push() {
    with_effects(Script::Python("operations.py"));
}

#[test]
fn boto3_gets_the_same_refusals_from_pools_with_a_trigger_a_stream_and_push() {
    with_effects(Script::Python("errors.py"));
}

#[test]
fn the_javascript_sdk_v3_sees_no_difference_in_pools_with_a_trigger_a_stream_and_push() {
    with_effects(Script::Node("v3.mjs"));
}
