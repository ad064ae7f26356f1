"""boto3 and requests that are refused before their body is read: every try ends in the fault, none in a reset."""

import contextlib
import datetime
import os

import botocore.auth

from tries import for_sizes, patches, tries, updates
from world import new_guest, run, unsigned

TOO_LARGE = "RequestEntityTooLargeException", 413


@contextlib.contextmanager
def a_slow_clock():
    """Signs as a client does whose clock is a quarter of an hour slow."""
    now = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *args, **named: now(*args, **named) - datetime.timedelta(minutes=15)
    try:
        yield
    finally:
        botocore.auth.get_current_datetime = now


@for_sizes(2, 200_000, 9_000_000)
def unknown_keys(size, count):
    keys = {"AccessKeyId": "AKIAUNKNOWNUNKNOWN00", "SecretKey": "secret"}
    updates(count, new_guest(), keys, ("UnrecognizedClientException", 403), size)


@for_sizes(2, 200_000, 9_000_000)
def expired_credentials(size, count):
    names = {"AccessKeyId": "KEY", "SecretKey": "SECRET", "SessionToken": "TOKEN"}
    keys = {name: os.environ[f"CARRYALL_EXPIRED_{variable}"] for name, variable in names.items()}
    updates(count, new_guest(), keys, ("ExpiredTokenException", 403), size)


@for_sizes(2, 200_000, 9_000_000)
def clocks(size, count):
    guest = new_guest()
    fault = "InvalidSignatureException", 403, "Signature expired:"
    updates(count, guest, guest.credentials, fault, size, signs_late=a_slow_clock)


@for_sizes(2, 200_000, 9_000_000)
def scopes(size, count):
    guest = new_guest()
    sync = guest.unchecked
    sync._request_signer._region_name = "eu-west-1"
    members = patches(size)
    call = lambda sync: sync.update_records(**guest.at("prefs"), **members)
    tries(count, sync, call, ("InvalidSignatureException", 403))


@for_sizes(9_000_000)
def bodies_that_are_too_large(size, count):
    guest = new_guest()
    updates(count, guest, guest.credentials, TOO_LARGE, size)


@for_sizes(200_000, 9_000_000)
def unsigned_bodies_that_are_too_large(size, count):
    guest = new_guest()
    identity = unsigned("cognito-identity", parameter_validation=False)
    logins = {"graph.facebook.com": "x" * size}
    tries(count, identity, lambda identity: identity.get_id(IdentityPoolId=guest.pool, Logins=logins), TOO_LARGE)


run()
