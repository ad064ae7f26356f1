"""boto3 over Cognito Identity and STS: pools, guests, credentials, both flows, and how they are refused."""

import base64
import json
import time
import uuid

from world import ACCOUNT, REGION, Guest, case, client, new_guest, new_pool, refused, replace, run, unsigned

ROLE = "arn:aws:iam::123456789012:role/guests"


@case
def pools_are_created_described_changed_and_deleted():
    root = client("cognito-identity")
    created = root.create_identity_pool(
        IdentityPoolName="Notes app",
        AllowUnauthenticatedIdentities=True,
        SupportedLoginProviders={"graph.facebook.com": "7346241598935552"},
        DeveloperProviderName="login.example",
        IdentityPoolTags={"team": "notes"},
    )
    pool = created["IdentityPoolId"]
    assert pool.startswith(f"{REGION}:") and len(pool) == len(REGION) + 37
    uuid.UUID(pool.split(":")[1])
    described = root.describe_identity_pool(IdentityPoolId=pool)
    for member in (
        "IdentityPoolId",
        "IdentityPoolName",
        "AllowUnauthenticatedIdentities",
        "SupportedLoginProviders",
        "DeveloperProviderName",
    ):
        assert described[member] == created[member], member
    changed = {name: value for name, value in described.items() if name != "ResponseMetadata"}
    changed |= {"IdentityPoolName": "Renamed", "AllowUnauthenticatedIdentities": False}
    assert root.update_identity_pool(**changed)["IdentityPoolName"] == "Renamed"
    assert root.describe_identity_pool(IdentityPoolId=pool)["AllowUnauthenticatedIdentities"] is False
    # What is left out: the developer provider stays, maps are cleared.
    root.update_identity_pool(IdentityPoolId=pool, IdentityPoolName="Bare", AllowUnauthenticatedIdentities=True)
    bare = root.describe_identity_pool(IdentityPoolId=pool)
    assert bare["DeveloperProviderName"] == "login.example"
    assert not bare.get("SupportedLoginProviders") and not bare.get("IdentityPoolTags")
    refused(
        lambda: root.update_identity_pool(
            IdentityPoolId=pool,
            IdentityPoolName="Bare",
            AllowUnauthenticatedIdentities=True,
            CognitoIdentityProviders=[{"ProviderName": "us-east-1_Ab12", "ClientId": "c"}],
        ),
        "InvalidParameterException",
        400,
        contains="us-east-1_Ab12",
    )
    root.delete_identity_pool(IdentityPoolId=pool)
    refused(lambda: root.describe_identity_pool(IdentityPoolId=pool), "ResourceNotFoundException", 400, contains=pool)
    refused(lambda: root.delete_identity_pool(IdentityPoolId=pool), "ResourceNotFoundException", 400)


@case
def pools_are_listed_in_pages():
    root = client("cognito-identity")
    pools = {new_pool() for _ in range(3)}
    seen, token = [], {}
    while True:
        page = root.list_identity_pools(MaxResults=2, **token)
        assert len(page["IdentityPools"]) <= 2
        seen += [pool["IdentityPoolId"] for pool in page["IdentityPools"]]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    assert len(seen) == len(set(seen)) and pools <= set(seen)


@case
def roles_are_kept():
    root = client("cognito-identity")
    pool = new_pool()
    assert root.get_identity_pool_roles(IdentityPoolId=pool).get("Roles") in (None, {})
    root.set_identity_pool_roles(IdentityPoolId=pool, Roles={"unauthenticated": ROLE})
    answer = root.get_identity_pool_roles(IdentityPoolId=pool)
    assert (answer["IdentityPoolId"], answer["Roles"]) == (pool, {"unauthenticated": ROLE})


@case
def guests_get_an_id_and_credentials():
    pool = new_pool()
    identity = unsigned("cognito-identity")
    first, second = (identity.get_id(IdentityPoolId=pool)["IdentityId"] for _ in range(2))
    assert first != second and first.startswith(f"{REGION}:")
    answer = identity.get_credentials_for_identity(IdentityId=first)
    assert answer["IdentityId"] == first
    keys = answer["Credentials"]
    assert keys["AccessKeyId"].startswith("ASIA")
    assert keys["SecretKey"] and keys["SessionToken"]
    life = (keys["Expiration"].timestamp() - time.time()) / 60
    assert 50 < life <= 61, life
    again = identity.get_credentials_for_identity(IdentityId=first)["Credentials"]
    assert client("cognito-sync", again).list_datasets(IdentityPoolId=pool, IdentityId=first)["Count"] == 0


@case
def credentials_know_who_they_are():
    guest = new_guest()
    assert client("sts").get_caller_identity()["Account"] == ACCOUNT
    caller = client("sts", guest.credentials).get_caller_identity()
    assert caller["Account"] == ACCOUNT
    assert caller["Arn"].startswith("arn:aws:sts::")


@case
def the_classic_flow_ends_with_working_credentials():
    pool = new_pool()
    identity = unsigned("cognito-identity")
    who = identity.get_id(IdentityPoolId=pool)["IdentityId"]
    answer = identity.get_open_id_token(IdentityId=who)
    assert answer["IdentityId"] == who
    header, claims, _ = answer["Token"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert (claims["sub"], claims["aud"]) == (who, pool)
    assert "unauthenticated" in claims["amr"]
    assert 0 < claims["exp"] - time.time() <= 601
    assumed = unsigned("sts").assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="web-identity", WebIdentityToken=answer["Token"], DurationSeconds=3600
    )
    assert assumed["SubjectFromWebIdentityToken"] == who
    assert assumed["Audience"] == pool
    keys = assumed["Credentials"]
    sync = client("cognito-sync", {**keys, "SecretKey": keys["SecretAccessKey"]})
    at = {"IdentityPoolId": pool, "IdentityId": who, "DatasetName": "prefs"}
    token = sync.list_records(**at)["SyncSessionToken"]
    answer = sync.update_records(**at, SyncSessionToken=token, RecordPatches=[replace("k", "v")])
    assert answer["Records"][0]["SyncCount"] == 1


@case
def the_classic_flow_refuses_bad_tokens():
    pool = new_pool()
    identity = unsigned("cognito-identity")
    token = identity.get_open_id_token(IdentityId=identity.get_id(IdentityPoolId=pool)["IdentityId"])["Token"]
    header, claims, signature = token.split(".")
    other = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    sts = unsigned("sts")
    for bad in (f"{header}.{claims}.{signature[:-6]}AAAAAA", f"{other}.{claims}.", "not-a-token"):
        refused(
            lambda: sts.assume_role_with_web_identity(
                RoleArn=ROLE, RoleSessionName="web-identity", WebIdentityToken=bad
            ),
            "InvalidIdentityToken",
            400,
        )


@case
def the_classic_flow_can_be_switched_off():
    pool = new_pool(AllowClassicFlow=False)
    identity = unsigned("cognito-identity")
    who = identity.get_id(IdentityPoolId=pool)["IdentityId"]
    refused(
        lambda: identity.get_open_id_token(IdentityId=who),
        "InvalidParameterException",
        400,
        "Basic (classic) flow is not enabled, please use enhanced flow.",
    )
    assert identity.get_credentials_for_identity(IdentityId=who)["Credentials"]


@case
def the_classic_flow_is_refused_where_roles_are_mapped():
    pool = new_pool()
    identity = unsigned("cognito-identity")
    who = identity.get_id(IdentityPoolId=pool)["IdentityId"]
    developer = client("cognito-identity")
    mapping = {"cognito-idp.us-east-1.amazonaws.com/us-east-1_a:app": {"Type": "Token"}}
    developer.set_identity_pool_roles(
        IdentityPoolId=pool, Roles={"unauthenticated": ROLE}, RoleMappings=mapping
    )
    refused(
        lambda: identity.get_open_id_token(IdentityId=who),
        "InvalidParameterException",
        400,
        "Basic (classic) flow is not supported with RoleMappings, please use enhanced flow.",
    )
    assert identity.get_credentials_for_identity(IdentityId=who)["Credentials"]
    developer.set_identity_pool_roles(IdentityPoolId=pool, Roles={"unauthenticated": ROLE})
    assert identity.get_open_id_token(IdentityId=who)["Token"]


@case
def a_token_is_worth_nothing_once_its_pool_refuses_the_classic_flow():
    developer = client("cognito-identity")
    identity, sts = unsigned("cognito-identity"), unsigned("sts")
    pool = new_pool()
    token = identity.get_open_id_token(IdentityId=identity.get_id(IdentityPoolId=pool)["IdentityId"])["Token"]
    assume = lambda: sts.assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="web-identity", WebIdentityToken=token, DurationSeconds=43200
    )

    def settings(**changed):
        members = {"AllowUnauthenticatedIdentities": True, "AllowClassicFlow": True, **changed}
        developer.update_identity_pool(IdentityPoolId=pool, IdentityPoolName="p", **members)

    assert assume()["Credentials"]
    settings(AllowClassicFlow=False)
    refused(assume, "InvalidIdentityToken", 400, "Basic (classic) flow is not enabled, please use enhanced flow.")
    settings(AllowUnauthenticatedIdentities=False)
    refused(
        assume, "InvalidIdentityToken", 400, "Unauthenticated access is not supported for this identity pool."
    )
    settings()
    roles = {"IdentityPoolId": pool, "Roles": {"unauthenticated": ROLE}}
    mapping = {"cognito-idp.us-east-1.amazonaws.com/us-east-1_a:app": {"Type": "Token"}}
    developer.set_identity_pool_roles(**roles, RoleMappings=mapping)
    refused(
        assume,
        "InvalidIdentityToken",
        400,
        "Basic (classic) flow is not supported with RoleMappings, please use enhanced flow.",
    )
    developer.set_identity_pool_roles(**roles)
    assert assume()["Credentials"]


@case
def pools_without_guests_refuse_them():
    identity = unsigned("cognito-identity")
    closed = new_pool(guests=False)
    refused(
        lambda: identity.get_id(IdentityPoolId=closed),
        "NotAuthorizedException",
        400,
        "Unauthenticated access is not supported for this identity pool.",
    )


@case
def closing_a_pool_to_guests_ends_new_credentials():
    guest = new_guest()
    client("cognito-identity").update_identity_pool(
        IdentityPoolId=guest.pool, IdentityPoolName="closed", AllowUnauthenticatedIdentities=False
    )
    refused(
        lambda: unsigned("cognito-identity").get_credentials_for_identity(IdentityId=guest.id),
        "NotAuthorizedException",
        400,
    )


@case
def logins_are_refused_until_they_are_built():
    guest = new_guest()
    identity = unsigned("cognito-identity")
    logins = {"graph.facebook.com": "token"}
    for call in (
        lambda: identity.get_id(IdentityPoolId=guest.pool, Logins=logins),
        lambda: identity.get_credentials_for_identity(IdentityId=guest.id, Logins=logins),
        lambda: identity.get_open_id_token(IdentityId=guest.id, Logins=logins),
    ):
        message = refused(call, "NotAuthorizedException", 400)
        assert "ogin" in message, message


@case
def malformed_members_are_named():
    identity = unsigned("cognito-identity", parameter_validation=False)
    root = client("cognito-identity", parameter_validation=False)
    text = "1 validation error detected: Value "
    for call in (
        lambda: identity.get_id(IdentityPoolId="nowhere"),
        lambda: identity.get_credentials_for_identity(IdentityId="US-EAST-1:XYZ"),
        lambda: root.describe_identity_pool(IdentityPoolId="x" * 56),
        lambda: root.list_identity_pools(MaxResults=61),
        lambda: root.list_identity_pools(MaxResults=0),
        lambda: root.create_identity_pool(IdentityPoolName="", AllowUnauthenticatedIdentities=True),
        lambda: root.delete_identities(IdentityIdsToDelete=[]),
    ):
        refused(call, "ValidationException", 400, text)


@case
def unknown_pools_and_identities():
    identity = unsigned("cognito-identity")
    root = client("cognito-identity")
    nothing = f"{REGION}:{uuid.uuid4()}"
    missing = "ResourceNotFoundException", 400
    for call in (
        lambda: identity.get_id(IdentityPoolId=nothing),
        lambda: identity.get_credentials_for_identity(IdentityId=nothing),
        lambda: identity.get_open_id_token(IdentityId=nothing),
        lambda: root.describe_identity(IdentityId=nothing),
        lambda: root.list_identities(IdentityPoolId=nothing, MaxResults=10),
        lambda: root.get_identity_pool_roles(IdentityPoolId=nothing),
        lambda: root.describe_identity_pool(IdentityPoolId=nothing),
    ):
        refused(call, *missing)
    refused(lambda: identity.get_id(IdentityPoolId=nothing), *missing, prefix=f"IdentityPool '{nothing}' not found.")


@case
def operators_calls_need_a_signature():
    identity = unsigned("cognito-identity")
    refused(lambda: identity.list_identity_pools(MaxResults=10), "MissingAuthenticationTokenException", 400)
    guest = new_guest()
    refused(
        lambda: client("cognito-identity", guest.credentials).list_identity_pools(MaxResults=10),
        "NotAuthorizedException",
        400,
    )


@case
def identities_are_listed_described_and_deleted_with_their_data():
    root = client("cognito-identity")
    pool = new_pool()
    guests = [Guest(pool) for _ in range(3)]
    seen, token = [], {}
    while True:
        page = root.list_identities(IdentityPoolId=pool, MaxResults=2, **token)
        seen += [identity["IdentityId"] for identity in page["Identities"]]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    assert sorted(seen) == sorted(guest.id for guest in guests)
    described = root.describe_identity(IdentityId=guests[0].id)
    assert described["IdentityId"] == guests[0].id
    assert described["CreationDate"] <= described["LastModifiedDate"]
    guests[0].put("prefs", "k", "v")
    unknown = f"{REGION}:{uuid.uuid4()}"
    answer = root.delete_identities(IdentityIdsToDelete=[guests[0].id, unknown])
    assert all(left["IdentityId"] != guests[0].id for left in answer["UnprocessedIdentityIds"])
    refused(lambda: root.describe_identity(IdentityId=guests[0].id), "ResourceNotFoundException", 400)
    refused(
        lambda: unsigned("cognito-identity").get_credentials_for_identity(IdentityId=guests[0].id),
        "ResourceNotFoundException",
        400,
    )
    listing = client("cognito-sync").list_records(IdentityPoolId=pool, IdentityId=guests[0].id, DatasetName="prefs")
    assert (listing["DatasetExists"], listing["Records"]) == (False, [])


@case
def deleting_a_pool_ends_access_at_once():
    guest = new_guest()
    guest.put("prefs", "k", "v")
    client("cognito-identity").delete_identity_pool(IdentityPoolId=guest.pool)
    refused(lambda: guest.list("prefs"), "NotAuthorizedException", 403)
    for call in (
        lambda: guest.sync.describe_dataset(**guest.at("prefs")),
        lambda: client("cognito-sync").describe_identity_pool_usage(IdentityPoolId=guest.pool),
    ):
        refused(call, "ResourceNotFoundException", 404)
    pools = client("cognito-sync").list_identity_pool_usage()["IdentityPoolUsages"]
    assert all(usage["IdentityPoolId"] != guest.pool for usage in pools)


run()
