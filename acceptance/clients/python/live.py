"""Live channels as an application in Python opens them: signed by botocore, by headers and as a presigned URL."""

import json
import urllib.error
import urllib.parse
import urllib.request

from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from world import ENDPOINT, REGION, case, new_guest, replace, run


def channel(guest, dataset, **query):
    names = "/".join(
        f"{kind}/{urllib.parse.quote(name, safe='')}"
        for kind, name in [("identitypools", guest.pool), ("identities", guest.id), ("datasets", dataset)]
    )
    return AWSRequest("GET", f"{ENDPOINT}/{names}/changes", params=query)


def keys(guest):
    given = guest.credentials
    return Credentials(given["AccessKeyId"], given["SecretKey"], given["SessionToken"])


def presigned(guest, request):
    SigV4QueryAuth(keys(guest), "cognito-sync", REGION, expires=60).add_auth(request)
    return request.prepare().url


def opened(url, headers=None):
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=30)


def next_event(stream):
    """The members of the next event, past comments and what else is no event."""
    members = {}
    for line in stream:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            members[name] = value
        elif "data" in members:
            return int(members["id"]), json.loads(members["data"])
    raise AssertionError("the channel ended")


def notice(guest, dataset, count):
    return {
        "source": "cognito-sync",
        "identityPoolId": guest.pool,
        "identityId": guest.id,
        "datasetName": dataset,
        "syncCount": str(count),
    }


@case
def a_url_that_botocore_presigned_opens_a_channel():
    guest = new_guest()
    with opened(presigned(guest, channel(guest, "prefs.a-b:c_d"))) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        guest.update("prefs.a-b:c_d", replace("a", "1"))
        assert next_event(stream) == (1, notice(guest, "prefs.a-b:c_d", 1))
        guest.sync.delete_dataset(**guest.at("prefs.a-b:c_d"))
        assert next_event(stream) == (2, notice(guest, "prefs.a-b:c_d", 2))


@case
def a_presigned_url_says_what_its_client_knows():
    guest = new_guest()
    guest.put("prefs", "a", "1")
    guest.put("prefs", "b", "1")
    with opened(presigned(guest, channel(guest, "prefs", lastSyncCount=1))) as stream:
        assert next_event(stream)[0] == 2
    with opened(presigned(guest, channel(guest, "prefs", lastSyncCount=2))) as stream:
        guest.put("prefs", "c", "1")
        assert next_event(stream)[0] == 3


@case
def a_request_that_botocore_signed_by_headers_opens_a_channel():
    guest = new_guest()
    request = channel(guest, "prefs", lastSyncCount=0)
    SigV4Auth(keys(guest), "cognito-sync", REGION).add_auth(request)
    with opened(request.prepare().url, dict(request.headers)) as stream:
        guest.put("prefs", "a", "1")
        assert next_event(stream) == (1, notice(guest, "prefs", 1))


@case
def a_presigned_url_is_good_for_its_own_channel_alone():
    guest = new_guest()
    url = presigned(guest, channel(guest, "prefs"))
    for changed in [url.replace("prefs", "other"), url + "&lastSyncCount=0", url.replace(guest.id[-12:], "0" * 12)]:
        try:
            opened(changed)
        except urllib.error.HTTPError as error:
            assert error.code == 403, error
            assert error.headers["x-amzn-ErrorType"] == "InvalidSignatureException:", error.headers
        else:
            raise AssertionError(f"opened: {changed}")


run()
