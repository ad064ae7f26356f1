"""Calls that are refused, repeated over kept and new connections: every try ends in the fault, none in a reset."""

import collections
import contextlib
import functools
import os

from world import case, client, refused

TRIES = int(os.environ["CARRYALL_TRIES"])
TRIES_PER_CASE_MAX = 250


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
