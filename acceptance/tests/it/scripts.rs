//! The SDKs that are scripts: boto3, the AWS CLI and JS v3. What they expect is written in `clients/`.

use carryall_acceptance::{Script, Server, Store};

use crate::on_every_store;

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
