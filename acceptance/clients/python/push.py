"""boto3 on both sides of push: as the app that registers and subscribes, and as the owner of the platform applications
at the peer that ``CARRYALL_TEST_SNS`` names, who looks at what was made of it."""

import os
import re
import uuid

import boto3
from botocore.exceptions import ClientError

from world import REGION, Guest, case, client, new_guest, new_pool, refused, run

PLATFORMS = "APNS", "APNS_SANDBOX", "GCM", "ADM"
ACCOUNT = "123456789012"
LOWER_CASE_UUID_V4 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MISSING = "ResourceNotFoundException", 404
UNCONFIGURED = "InvalidConfigurationException", 400



def peer(region):
    return boto3.client(
        "sns",
        region_name=region,
        endpoint_url=os.environ["CARRYALL_TEST_SNS"],
        aws_access_key_id="AKIAANYBODY000000000",
        aws_secret_access_key="anything",
    )


sns = peer(REGION)


def new_application(platform, name=None):
    name = name or f"app-{uuid.uuid4().hex[:8]}"
    attributes = {"PlatformCredential": "acceptance", "PlatformPrincipal": "acceptance"}
    answer = sns.create_platform_application(Name=name, Platform=platform, Attributes=attributes)
    return answer["PlatformApplicationArn"]


def new_token():
    """No other case's: the peer knows a token once, whatever the application."""
    return f"token/{uuid.uuid4().hex}+ü ="


def endpoints(application):
    return sns.list_endpoints_by_platform_application(PlatformApplicationArn=application)["Endpoints"]


def only_endpoint(application):
    found = endpoints(application)
    assert len(found) == 1, found
    return found[0]["EndpointArn"], found[0]["Attributes"]


def pushing_guest(*applications):
    pool = new_pool()
    configure(pool, *applications)
    return Guest(pool)


def configure(pool, *applications):
    push = {"ApplicationArns": list(applications)}
    client("cognito-sync").set_identity_pool_configuration(IdentityPoolId=pool, PushSync=push)


def register(guest, platform, token):
    return guest.sync.register_device(**guest.owner, Platform=platform, Token=token)["DeviceId"]


def subscribe(guest, dataset, device):
    answer = guest.sync.subscribe_to_dataset(**guest.at(dataset), DeviceId=device)
    assert set(answer) == {"ResponseMetadata"}, answer


def unsubscribe(guest, dataset, device):
    answer = guest.sync.unsubscribe_from_dataset(**guest.at(dataset), DeviceId=device)
    assert set(answer) == {"ResponseMetadata"}, answer


@case
def each_platform_gets_its_endpoint_at_its_own_application():
    applications = {platform: new_application(platform) for platform in PLATFORMS}
    guest = pushing_guest(*applications.values())
    devices = set()
    for platform, application in applications.items():
        token = new_token()
        device = register(guest, platform, token)
        assert LOWER_CASE_UUID_V4.fullmatch(device), device
        devices.add(device)
        _, attributes = only_endpoint(application)
        assert (attributes["Token"], attributes["Enabled"]) == (token, "true"), attributes
    assert len(devices) == len(PLATFORMS)


@case
def a_platform_without_an_application_is_refused_by_its_name():
    guest = pushing_guest(new_application("GCM"))
    for platform in ("APNS", "APNS_SANDBOX", "ADM"):
        message = refused(lambda: register(guest, platform, new_token()), *UNCONFIGURED)
        assert re.search(rf"\b{platform}\b", message), message
        assert guest.pool in message, message


@case
def a_pool_without_push_says_what_to_set():
    guest = new_guest()
    refused(lambda: register(guest, "GCM", new_token()), *UNCONFIGURED, contains="PushSync.ApplicationArns")
    guest.put("prefs", "k", "v")
    device = str(uuid.uuid4())
    refused(lambda: subscribe(guest, "prefs", device), *UNCONFIGURED, contains="PushSync.ApplicationArns")


@case
def the_same_token_again_is_the_same_device_and_the_same_endpoint():
    application = new_application("GCM")
    guest = pushing_guest(application)
    token = new_token()
    device = register(guest, "GCM", token)
    endpoint = only_endpoint(application)
    assert register(guest, "GCM", token) == device
    assert only_endpoint(application) == endpoint
    assert register(guest, "GCM", new_token()) != device
    assert len(endpoints(application)) == 2


@case
def another_identity_with_the_same_token_is_another_device():
    application = new_application("GCM")
    guest = pushing_guest(application)
    other = Guest(guest.pool)
    token = new_token()
    assert register(guest, "GCM", token) != register(other, "GCM", token)
    only_endpoint(application)


@case
def an_endpoint_that_was_switched_off_is_switched_on_and_the_subscription_stays():
    application = new_application("APNS")
    guest = pushing_guest(application)
    guest.put("prefs", "k", "v")
    token = new_token()
    device = register(guest, "APNS", token)
    subscribe(guest, "prefs", device)
    endpoint, _ = only_endpoint(application)
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Enabled": "false"})
    assert register(guest, "APNS", token) == device
    again, attributes = only_endpoint(application)
    assert (again, attributes["Enabled"]) == (endpoint, "true"), attributes
    unsubscribe(guest, "prefs", device)


@case
def an_endpoint_that_lost_its_token_gets_it_back():
    application = new_application("GCM")
    guest = pushing_guest(application)
    token = new_token()
    device = register(guest, "GCM", token)
    endpoint, _ = only_endpoint(application)
    sns.set_endpoint_attributes(EndpointArn=endpoint, Attributes={"Token": "of somebody else"})
    assert register(guest, "GCM", token) == device
    assert only_endpoint(application)[1]["Token"] == token


@case
def an_endpoint_that_was_deleted_is_created_anew_for_the_same_device():
    application = new_application("GCM")
    guest = pushing_guest(application)
    guest.put("prefs", "k", "v")
    token = new_token()
    device = register(guest, "GCM", token)
    subscribe(guest, "prefs", device)
    endpoint, _ = only_endpoint(application)
    sns.delete_endpoint(EndpointArn=endpoint)
    assert register(guest, "GCM", token) == device
    assert only_endpoint(application)[0] != endpoint
    unsubscribe(guest, "prefs", device)


@case
def an_endpoint_that_somebody_else_made_is_adopted_as_it_is():
    application = new_application("GCM")
    guest = pushing_guest(application)
    for enabled in ("true", "false"):
        token = new_token()
        made = sns.create_platform_endpoint(
            PlatformApplicationArn=application,
            Token=token,
            CustomUserData="of another system",
            Attributes={"Enabled": enabled},
        )["EndpointArn"]
        device = register(guest, "GCM", token)
        assert LOWER_CASE_UUID_V4.fullmatch(device), device
        found = {one["EndpointArn"]: one["Attributes"] for one in endpoints(application)}
        attributes = found[made]
        assert (attributes["Token"], attributes["Enabled"]) == (token, "true"), attributes
    assert len(found) == 2, found


@case
def an_application_that_the_peer_does_not_know_is_refused_until_it_is_there():
    name = f"late-{uuid.uuid4().hex[:8]}"
    application = f"arn:aws:sns:{REGION}:{ACCOUNT}:app/GCM/{name}"
    guest = pushing_guest(application)
    token = new_token()
    refused(lambda: register(guest, "GCM", token), *UNCONFIGURED, contains="platform application")
    assert new_application("GCM", name) == application
    assert LOWER_CASE_UUID_V4.fullmatch(register(guest, "GCM", token))
    only_endpoint(application)


@case
def the_first_of_two_applications_of_one_platform_takes_the_devices():
    first, second = new_application("GCM"), new_application("GCM")
    guest = pushing_guest(first, second)
    register(guest, "GCM", new_token())
    assert (len(endpoints(first)), len(endpoints(second))) == (1, 0)


@case
def an_application_is_called_in_the_region_that_its_arn_names():
    elsewhere = peer("eu-west-1")
    attributes = {"PlatformCredential": "acceptance"}
    application = elsewhere.create_platform_application(Name="elsewhere", Platform="GCM", Attributes=attributes)
    application = application["PlatformApplicationArn"]
    assert ":eu-west-1:" in application
    guest = pushing_guest(application)
    register(guest, "GCM", new_token())
    found = elsewhere.list_endpoints_by_platform_application(PlatformApplicationArn=application)["Endpoints"]
    assert len(found) == 1, found
    elsewhere.delete_platform_application(PlatformApplicationArn=application)


@case
def a_device_subscribes_to_datasets_that_are_there():
    guest = pushing_guest(new_application("GCM"))
    device = register(guest, "GCM", new_token())
    refused(lambda: subscribe(guest, "prefs", device), *MISSING, contains="prefs")
    guest.put("prefs", "k", "v")
    subscribe(guest, "prefs", device)
    subscribe(guest, "prefs", device)
    guest.sync.delete_dataset(**guest.at("prefs"))
    # What was subscribed stays so; a dataset that is gone takes no new subscriptions.
    another = register(guest, "GCM", new_token())
    refused(lambda: subscribe(guest, "prefs", another), *MISSING, contains="prefs")
    unsubscribe(guest, "prefs", device)


@case
def a_device_is_its_own_identitys():
    application = new_application("GCM")
    guest = pushing_guest(application)
    other = Guest(guest.pool)
    stranger = pushing_guest(application)
    device = register(guest, "GCM", new_token())
    for one in (guest, other, stranger):
        one.put("prefs", "k", "v")
    subscribe(guest, "prefs", device)
    for one in (other, stranger):
        refused(lambda: subscribe(one, "prefs", device), *MISSING, contains=device)
        refused(lambda: unsubscribe(one, "prefs", device), *MISSING, contains=device)
    # An id differs by the case of its letters.
    refused(lambda: subscribe(guest, "prefs", device.upper()), *MISSING)
    unsubscribe(guest, "prefs", device)


@case
def only_what_is_subscribed_is_unsubscribed():
    guest = pushing_guest(new_application("GCM"))
    device = register(guest, "GCM", new_token())
    guest.put("prefs", "k", "v")
    refused(lambda: unsubscribe(guest, "prefs", device), *MISSING, contains=device)
    subscribe(guest, "prefs", device)
    refused(lambda: unsubscribe(guest, "other", device), *MISSING, contains=device)
    unsubscribe(guest, "prefs", device)
    refused(lambda: unsubscribe(guest, "prefs", device), *MISSING, contains=device)
    refused(lambda: unsubscribe(guest, "prefs", str(uuid.uuid4())), *MISSING)


@case
def a_token_must_not_be_empty_and_is_not_repeated_when_it_is_too_long():
    guest = pushing_guest(new_application("GCM"))
    refused(lambda: register(guest, "GCM", ""), "InvalidParameterException", 400)
    message = refused(lambda: register(guest, "GCM", "z" * 5000), "InvalidParameterException", 400)
    assert "zzz" not in message, message


@case
def the_refusals_are_modelled_for_sdks():
    guest = new_guest()
    modelled = guest.sync.exceptions
    try:
        register(guest, "GCM", new_token())
    except modelled.InvalidConfigurationException as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    else:
        raise AssertionError("registered without push")
    configure(guest.pool, new_application("GCM"))
    device = register(guest, "GCM", new_token())
    try:
        subscribe(guest, "none", device)
    except modelled.ResourceNotFoundException as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    except ClientError as error:
        raise AssertionError("not modelled") from error
    else:
        raise AssertionError("subscribed to nothing")


run()
