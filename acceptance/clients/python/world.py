"""What every Python case needs: clients for each kind of caller, fresh pools and guests, and a runner.

A script registers its cases with ``@case`` and ends with ``run()``. Each case that passes prints one line of
JSON; a failed one prints its traceback, and the exit code is then 1. Nothing here knows what a case expects.
"""

import json
import os
import sys
import time
import traceback
import uuid

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["CARRYALL_ENDPOINT"]
REGION = "us-east-1"
ACCOUNT = "000000000000"
# What every pool is set up for: a trigger, a stream and push, or nothing.
EFFECTS = json.loads(os.environ.get("CARRYALL_EFFECTS", "null"))

_cases = []
_pools_with_effects = set()


def case(function):
    """Registers a case; its docstring, or its name, is what gets reported."""
    _cases.append(function)
    return function


def run():
    """Runs every case, reports each, and leaves with 1 if any failed."""
    failed = 0
    for function in _cases:
        report = {"case": function.__name__, "passed": True}
        try:
            function()
        except Exception:
            failed += 1
            report["passed"] = False
            report["trace"] = traceback.format_exc()
        print(json.dumps(report), flush=True)
    sys.exit(1 if failed else 0)


def client(service, credentials=None, **config):
    """A client with one attempt per call; without ``credentials`` the root key of the environment is used."""
    settings = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=30, **config)
    names = {}
    if credentials is not None:
        names = {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretKey"],
            "aws_session_token": credentials.get("SessionToken"),
        }
    return boto3.client(service, region_name=REGION, endpoint_url=ENDPOINT, config=settings, **names)


def unsigned(service, **config):
    return client(service, signature_version=UNSIGNED, **config)


def new_pool(guests=True, **members):
    """A fresh identity pool, so that cases do not see each other; set up for effects if there are any."""
    pool = bare_pool(guests, **members)
    if EFFECTS:
        root = client("cognito-sync")
        root.set_cognito_events(IdentityPoolId=pool, Events=EFFECTS["Events"])
        blocks = {name: EFFECTS[name] for name in ("PushSync", "CognitoStreams")}
        root.set_identity_pool_configuration(IdentityPoolId=pool, **blocks)
        _pools_with_effects.add(pool)
    return pool


def bare_pool(guests=True, **members):
    """A pool that is set up for nothing, for cases about these very settings."""
    name = f"case {uuid.uuid4().hex[:8]}"
    answer = client("cognito-identity").create_identity_pool(
        IdentityPoolName=name, AllowUnauthenticatedIdentities=guests, **members
    )
    return answer["IdentityPoolId"]


class Guest:
    """A guest identity of a pool, with its own credentials and shorthands for its datasets."""

    def __init__(self, pool):
        self.pool = pool
        identity = unsigned("cognito-identity")
        self.id = identity.get_id(IdentityPoolId=pool)["IdentityId"]
        self.credentials = identity.get_credentials_for_identity(IdentityId=self.id)["Credentials"]
        self.sync = client("cognito-sync", self.credentials)
        self.unchecked = client("cognito-sync", self.credentials, parameter_validation=False)
        self.owner = {"IdentityPoolId": pool, "IdentityId": self.id}
        self.subscribed = set()
        self.device = None
        if pool in _pools_with_effects:
            registered = self.sync.register_device(**self.owner, Platform="GCM", Token=uuid.uuid4().hex)
            self.device = registered["DeviceId"]

    def at(self, dataset):
        return {**self.owner, "DatasetName": dataset}

    def list(self, dataset, **more):
        return self.sync.list_records(**self.at(dataset), **more)

    def token(self, dataset):
        return self.list(dataset)["SyncSessionToken"]

    def update(self, dataset, *patches, token=None, **more):
        token = token or self.token(dataset)
        answer = self.sync.update_records(
            **self.at(dataset), SyncSessionToken=token, RecordPatches=list(patches), **more
        )
        if self.device and patches and dataset not in self.subscribed:
            self.sync.subscribe_to_dataset(**self.at(dataset), DeviceId=self.device)
            self.subscribed.add(dataset)
        return answer

    def put(self, dataset, key, value, count=0, **more):
        return self.update(dataset, replace(key, value, count), **more)["Records"][0]


def replace(key, value, count=0, **more):
    return {"Op": "replace", "Key": key, "Value": value, "SyncCount": count, **more}


def remove(key, count=0, **more):
    return {"Op": "remove", "Key": key, "SyncCount": count, **more}


def new_guest():
    return Guest(new_pool())


def refused(call, name, status, prefix="", contains=""):
    """Expects ``call`` to be refused with exactly this name and status, and returns the message."""
    try:
        answer = call()
    except ClientError as error:
        got = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        message = error.response["Error"]["Message"]
        assert got == (name, status), f"expected {(name, status)}, got {got}: {message}"
        assert message.startswith(prefix), f"message {message!r} does not start with {prefix!r}"
        assert contains in message, f"message {message!r} does not contain {contains!r}"
        return message
    raise AssertionError(f"expected {name}, got an answer: {answer}")


def eventually(predicate, bound_seconds=10):
    """Asks until the predicate holds; an assertion error when the bound has passed."""
    until = time.monotonic() + bound_seconds
    while not (result := predicate()):
        assert time.monotonic() < until, "did not come true in time"
        time.sleep(0.02)
    return result
