"""boto3 with keys that are wrong in every way, and URLs signed ahead of use."""

import json
import os
import urllib.error
import urllib.request

from world import case, client, new_guest, new_pool, refused, run


def fetch(url):
    """A plain GET, as from a browser: the signature is in the URL."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, dict(answer.headers), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), json.loads(error.read())


def with_keys(service, access_key_id, secret, token=None):
    return client(service, {"AccessKeyId": access_key_id, "SecretKey": secret, "SessionToken": token})


@case
def unknown_keys():
    pool = new_pool()
    sync = with_keys("cognito-sync", "AKIAUNKNOWNUNKNOWN00", "secret")
    refused(lambda: sync.get_cognito_events(IdentityPoolId=pool), "UnrecognizedClientException", 403)
    identity = with_keys("cognito-identity", "AKIAUNKNOWNUNKNOWN00", "secret")
    refused(lambda: identity.list_identity_pools(MaxResults=1), "UnrecognizedClientException", 400)
    sts = with_keys("sts", "AKIAUNKNOWNUNKNOWN00", "secret")
    refused(sts.get_caller_identity, "InvalidClientTokenId", 403)


@case
def wrong_secrets():


    key = os.environ["AWS_ACCESS_KEY_ID"]
    pool = new_pool()
    sync = with_keys("cognito-sync", key, "wrong")
    refused(lambda: sync.get_cognito_events(IdentityPoolId=pool), "InvalidSignatureException", 403, "The request signature")
    identity = with_keys("cognito-identity", key, "wrong")
    refused(lambda: identity.list_identity_pools(MaxResults=1), "InvalidSignatureException", 400)
    sts = with_keys("sts", key, "wrong")
    refused(sts.get_caller_identity, "SignatureDoesNotMatch", 403)


@case
def session_tokens_that_do_not_belong():
    guest, other = new_guest(), new_guest()
    keys = guest.credentials
    tampered = keys["SessionToken"][:-4] + ("AAAA" if keys["SessionToken"][-4:] != "AAAA" else "BBBB")
    for token in (tampered, None, "garbage", other.credentials["SessionToken"]):
        sync = with_keys("cognito-sync", keys["AccessKeyId"], keys["SecretKey"], token)
        refused(lambda: sync.list_records(**guest.at("prefs")), "UnrecognizedClientException", 403)


@case
def urls_signed_ahead_work_for_guests_and_developers():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    for calls in (guest.sync, client("cognito-sync")):
        url = calls.generate_presigned_url("list_records", Params=guest.at("prefs"), ExpiresIn=300)
        assert "X-Amz-Signature=" in url
        status, headers, body = fetch(url)
        assert status == 200, body
        assert body["Records"][0]["Value"] == "dark"
        # The same URL works again: it is a reading.
        assert fetch(url)[0] == 200


@case
def urls_signed_ahead_cannot_be_changed():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    url = guest.sync.generate_presigned_url(
        "list_records", Params={**guest.at("prefs"), "LastSyncCount": 1}, ExpiresIn=300
    )
    assert fetch(url)[2]["Records"] == []
    for changed in (
        url.replace("lastSyncCount=1", "lastSyncCount=0"),
        url.replace("/prefs/", "/other/"),
        url + "&maxResults=1",
        url.replace("X-Amz-Expires=300", "X-Amz-Expires=301"),
    ):
        assert changed != url
        status, headers, body = fetch(changed)
        assert (status, body["__type"]) == (403, "InvalidSignatureException"), (changed, body)


run()
