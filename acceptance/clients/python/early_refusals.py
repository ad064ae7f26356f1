"""boto3 and requests that are refused before their body is read: every try ends in the fault, none in a reset."""

import collections
import contextlib
import datetime
import functools
import os

import botocore.auth

from world import case, client, new_guest, refused, run, unsigned

TRIES = int(os.environ["CARRYALL_TRIES"])
TRIES_PER_CASE_MAX = 250
TOO_LARGE = "RequestEntityTooLargeException", 413


def patches(size):
    """Record patches whose JSON has about ``size`` bytes; none at all for the smallest body, ``{}``."""
    if size == 2:
        return {}
    values = [1_000_000] * (size // 1_000_000) or [size]
    records = [{"Op": "replace", "Key": f"k{n}", "Value": "v" * length, "SyncCount": 0} for n, length in enumerate(values)]
    return {"SyncSessionToken": "token", "RecordPatches": records}


def tries(count, clients, call, fault, signs_late=contextlib.nullcontext):
    """Calls again and again, over a kept connection and over new ones by turns."""
    wrong = collections.Counter()
    for number in range(count):
        try:
            with signs_late():
                refused(lambda: call(clients), *fault)
        except Exception as error:
            wrong[f"{type(error).__name__}: {error}"] += 1
        if number % 2:
            clients._endpoint.http_session.close()
    assert not wrong, "\n".join(f"{count} × {what}" for what, count in wrong.items())


def for_sizes(*sizes):
    """Registers cases for each size of body, of few enough tries that each reports in time."""

    def register(function):
        for size in sizes:
            for part in range(0, TRIES, TRIES_PER_CASE_MAX):
                of_size = functools.partial(function, size, min(TRIES_PER_CASE_MAX, TRIES - part))
                of_size.__name__ = f"{function.__name__}, {size} bytes, tries after {part}"
                case(of_size)

    return register


def updates(count, guest, credentials, fault, size, signs_late=contextlib.nullcontext):
    sync = client("cognito-sync", credentials, parameter_validation=False)
    members = patches(size)
    tries(count, sync, lambda sync: sync.update_records(**guest.at("prefs"), **members), fault, signs_late)


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
