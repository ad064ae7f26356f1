"""boto3 over every refusal that a client can reach: name, status and the start of the message, as one table."""

import uuid

from world import Guest, bare_pool, case, client, new_guest, refused, remove, replace, run

BAD = "InvalidParameterException", 400
LIMIT = "LimitExceededException", 400
CONFLICT = "ResourceConflictException", 409
MISSING = "ResourceNotFoundException", 404
FORBIDDEN = "NotAuthorizedException", 403
VALIDATION = "1 validation error detected: Value "
WRONG_CALLER = "These credentials are not valid for accessing this resource"
ROLE = "arn:aws:iam::123456789012:role/sync"


def check(table):
    """Runs a table of (what, call, (name, status), message prefix) and reports every row that differs."""
    wrong = []
    for what, call, (name, status), prefix in table:
        try:
            refused(call, name, status, prefix)
        except AssertionError as error:
            wrong.append(f"{what}: {error}")
        except Exception as error:  # The client itself failed: that is a separate finding.
            wrong.append(f"{what}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)


@case
def constraints_of_members_in_the_path():
    guest = new_guest()
    calls = guest.unchecked

    def listing(**changed):
        return lambda: calls.list_records(**{**guest.at("prefs"), **changed})

    check(
        [
            ("dataset name too long", listing(DatasetName="d" * 129), BAD, VALIDATION),
            ("dataset name with a space", listing(DatasetName="a b"), BAD, VALIDATION),
            ("dataset name with a slash", listing(DatasetName="a/b"), BAD, VALIDATION),
            ("dataset name beyond ASCII", listing(DatasetName="é"), BAD, VALIDATION),
            ("dataset name with NUL", listing(DatasetName="a\0b"), BAD, VALIDATION),
            ("dataset name with a line feed", listing(DatasetName="prefs\n"), BAD, VALIDATION),
        ]
    )
    root = client("cognito-sync", parameter_validation=False)

    def addressed(**changed):
        return lambda: root.describe_dataset(**{**guest.at("prefs"), **changed})

    check(
        [
            ("identity id without a region", addressed(IdentityId="0123"), BAD, VALIDATION),
            ("identity id with upper case", addressed(IdentityId="us-east-1:ABC"), BAD, VALIDATION),
            ("identity id too long", addressed(IdentityId="us-east-1:" + "0" * 46), BAD, VALIDATION),
            ("pool id too long", addressed(IdentityPoolId="us-east-1:" + "0" * 46), BAD, VALIDATION),
            ("pool id beyond ASCII", addressed(IdentityPoolId="ü:0"), BAD, VALIDATION),
        ]
    )


@case
def constraints_of_members_in_the_query():
    guest = new_guest()

    def listing(**more):
        return lambda: guest.unchecked.list_records(**guest.at("prefs"), **more)

    def datasets(**more):
        return lambda: guest.unchecked.list_datasets(**guest.owner, **more)

    root = client("cognito-sync", parameter_validation=False)
    check(
        [
            ("page size 0", listing(MaxResults=0), BAD, ""),
            ("page size below 0", listing(MaxResults=-1), BAD, ""),
            ("page size no number", listing(MaxResults="many"), BAD, ""),
            ("count below 0", listing(LastSyncCount=-1), BAD, ""),
            ("count no number", listing(LastSyncCount="1e3x"), BAD, ""),
            ("count beyond 64 bits", listing(LastSyncCount=2**70), BAD, ""),
            ("session token invented", listing(SyncSessionToken="abc"), BAD, "SyncSessionToken not valid"),
            ("page token invented", listing(NextToken="abc"), BAD, ""),
            ("datasets, page size 0", datasets(MaxResults=0), BAD, ""),
            ("datasets, page token invented", datasets(NextToken="?"), BAD, ""),
            ("pools, page size 0", lambda: root.list_identity_pool_usage(MaxResults=0), BAD, ""),
            ("pools, page token invented", lambda: root.list_identity_pool_usage(NextToken="?"), BAD, ""),
        ]
    )


@case
def constraints_of_members_in_the_body():
    guest = new_guest()
    token = guest.token("prefs")

    def updating(*patches, **more):
        arguments = {"SyncSessionToken": token, "RecordPatches": list(patches), **more}
        return lambda: guest.unchecked.update_records(**guest.at("prefs"), **arguments)

    check(
        [
            ("empty key", updating(replace("", "v")), BAD, VALIDATION),
            ("key over 1,024 bytes", updating(replace("k" * 1025, "v")), BAD, ""),
            ("key over 1,024 bytes in fewer characters", updating(replace("é" * 513, "v")), BAD, ""),
            ("value over 1,048,575 bytes", updating(replace("k", "v" * 1_048_576)), BAD, ""),
            ("unknown operation", updating({**replace("k", "v"), "Op": "merge"}), BAD, VALIDATION),
            ("no operation", updating({"Key": "k", "Value": "v", "SyncCount": 0}), BAD, ""),
            ("no key", updating({"Op": "replace", "Value": "v", "SyncCount": 0}), BAD, ""),
            ("no count", updating({"Op": "replace", "Key": "k", "Value": "v"}), BAD, ""),
            ("count below 0", updating(replace("k", "v", -1)), BAD, ""),
            ("replace without a value", updating({"Op": "replace", "Key": "k", "SyncCount": 0}), BAD, ""),
            ("the same key twice", updating(replace("k", "1"), replace("k", "2")), BAD, ""),
            ("device id empty", updating(replace("k", "v"), DeviceId=""), BAD, VALIDATION),
            ("device id too long", updating(replace("k", "v"), DeviceId="d" * 257), BAD, VALIDATION),
            ("no session token", lambda: guest.unchecked.update_records(**guest.at("prefs")), BAD, ""),
            ("session token invented", updating(replace("k", "v"), SyncSessionToken="abc"), BAD, "SyncSessionToken"),
            ("patch without anything", updating({}), BAD, ""),
        ]
    )
    listing = guest.list("prefs")
    assert listing["DatasetExists"] is False, listing


@case
def counts_and_conflicts():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    guest.put("prefs", "size", "1")
    text = "Current SyncCount for: "
    check(
        [
            ("stale", lambda: guest.put("prefs", "theme", "x", 0), CONFLICT, text + "theme is: 1 not: 0"),
            ("stale, same value", lambda: guest.put("prefs", "theme", "dark", 0), CONFLICT, text + "theme is: 1 not: 0"),
            ("ahead of the dataset", lambda: guest.put("prefs", "theme", "x", 3), CONFLICT, text + "theme is: 1 not: 3"),
            ("new key ahead of the dataset", lambda: guest.put("prefs", "new", "x", 3), CONFLICT, text + "new is: 0 not: 3"),
            ("stale remove", lambda: guest.update("prefs", remove("size", 1)), CONFLICT, text + "size is: 2 not: 1"),
            ("listing above the count", lambda: guest.list("prefs", LastSyncCount=3), BAD, "No such SyncCount: 3 exists for this Dataset"),
        ]
    )


@case
def session_tokens_of_somewhere_else():
    guest = new_guest()
    sibling = Guest(guest.pool)
    stranger = new_guest()
    for name, token in (
        ("another dataset", guest.token("other")),
        ("another identity", sibling.token("prefs")),
        ("another pool", stranger.token("prefs")),
    ):
        for call in (
            lambda: guest.update("prefs", replace("k", "v"), token=token),
            lambda: guest.list("prefs", SyncSessionToken=token),
        ):
            try:
                refused(call, *BAD, prefix="SyncSessionToken not valid for these inputs")
            except AssertionError as error:
                raise AssertionError(f"token of {name}") from error
    assert guest.list("prefs")["DatasetExists"] is False


@case
def limits_of_a_dataset():
    guest = new_guest()
    guest.update("many", *[replace(f"key-{number}", "") for number in range(1024)])
    check([("record 1,025", lambda: guest.put("many", "one-more", ""), LIMIT, "")])
    # A removed record is free, so there is room for another one.
    guest.update("many", remove("key-0", 1))
    assert guest.put("many", "one-more", "")["SyncCount"] == 3

    guest.put("large", "k", "v" * 1_048_575)
    check([("one byte over 1 MiB", lambda: guest.put("large", "x", ""), LIMIT, "")])
    guest.put("large", "k", "v" * 1_048_573, 1)
    assert guest.put("large", "x", "y")["SyncCount"] == 3
    check(
        [
            ("grown beyond 1 MiB", lambda: guest.put("large", "x", "é", 3), LIMIT, ""),
            ("refused as a whole", lambda: guest.update("large", remove("x", 3), replace("y", "éé")), LIMIT, ""),
        ]
    )
    described = guest.sync.describe_dataset(**guest.at("large"))["Dataset"]
    assert (described["NumRecords"], described["DataStorage"]) == (2, 1_048_576), described


@case
def limit_of_datasets_per_identity():
    guest = new_guest()
    for number in range(20):
        guest.put(f"set-{number}", "k", "v")
    check([("dataset 21", lambda: guest.put("set-20", "k", "v"), LIMIT, "")])
    assert guest.put("set-0", "k", "w", 1)["SyncCount"] == 2
    guest.sync.delete_dataset(**guest.at("set-0"))
    assert guest.put("set-20", "k", "v")["SyncCount"] == 1
    assert guest.sync.list_datasets(**guest.owner)["Count"] == 20


@case
def what_is_missing():
    guest = new_guest()
    root = client("cognito-sync")
    nowhere = f"us-east-1:{uuid.uuid4()}"
    there = {"IdentityPoolId": nowhere, "IdentityId": guest.id}
    at = {**there, "DatasetName": "prefs"}
    check(
        [
            ("describe a missing dataset", lambda: guest.sync.describe_dataset(**guest.at("none")), MISSING, ""),
            ("delete a missing dataset", lambda: guest.sync.delete_dataset(**guest.at("none")), MISSING, ""),
            ("unknown pool: DescribeDataset", lambda: root.describe_dataset(**at), MISSING, ""),
            ("unknown pool: DeleteDataset", lambda: root.delete_dataset(**at), MISSING, ""),
            ("unknown pool: DescribeIdentityUsage", lambda: root.describe_identity_usage(**there), MISSING, ""),
            ("unknown pool: DescribeIdentityPoolUsage", lambda: root.describe_identity_pool_usage(IdentityPoolId=nowhere), MISSING, ""),
            ("unknown pool: GetIdentityPoolConfiguration", lambda: root.get_identity_pool_configuration(IdentityPoolId=nowhere), MISSING, ""),
            ("unknown pool: SetIdentityPoolConfiguration", lambda: root.set_identity_pool_configuration(IdentityPoolId=nowhere), MISSING, ""),
            ("unknown pool: GetCognitoEvents", lambda: root.get_cognito_events(IdentityPoolId=nowhere), MISSING, ""),
            ("unknown pool: SetCognitoEvents", lambda: root.set_cognito_events(IdentityPoolId=nowhere, Events={}), MISSING, ""),
            ("unknown pool: BulkPublish", lambda: root.bulk_publish(IdentityPoolId=nowhere), MISSING, ""),
            ("unknown pool: GetBulkPublishDetails", lambda: root.get_bulk_publish_details(IdentityPoolId=nowhere), MISSING, ""),
            ("unknown pool: ListRecords", lambda: root.list_records(**at), FORBIDDEN, ""),
            ("unknown pool: ListDatasets", lambda: root.list_datasets(**there), FORBIDDEN, ""),
        ]
    )


@case
def constraints_of_the_pools_settings():
    pool = bare_pool()
    root = client("cognito-sync", parameter_validation=False)

    def setting(**blocks):
        return lambda: root.set_identity_pool_configuration(IdentityPoolId=pool, **blocks)

    def events(**events):
        return lambda: root.set_cognito_events(IdentityPoolId=pool, Events=events)

    stream = {"StreamName": "s", "RoleArn": ROLE, "StreamingStatus": "ENABLED"}
    check(
        [
            ("role ARN too short", setting(PushSync={"RoleArn": "arn:aws:iam::1:role"}), BAD, VALIDATION),
            ("role ARN of another kind", setting(PushSync={"RoleArn": "arn:aws:iam::123456789012:user/x"}), BAD, VALIDATION),
            ("application ARN malformed", setting(PushSync={"ApplicationArns": ["arn:x"]}), BAD, VALIDATION),
            ("streaming status unknown", setting(CognitoStreams={**stream, "StreamingStatus": "ON"}), BAD, VALIDATION),
            ("stream name empty", setting(CognitoStreams={**stream, "StreamName": ""}), BAD, VALIDATION),
            ("stream name too long", setting(CognitoStreams={**stream, "StreamName": "s" * 129}), BAD, VALIDATION),
            ("unknown event", events(OnLogin="arn:aws:lambda:us-east-1:123456789012:function:x"), BAD, ""),
            ("two events", events(SyncTrigger="", Other=""), BAD, ""),
        ]
    )
    kept = root.get_identity_pool_configuration(IdentityPoolId=pool)
    assert kept.get("PushSync") is None and kept.get("CognitoStreams") is None
    assert root.get_cognito_events(IdentityPoolId=pool).get("Events") in (None, {})


@case
def constraints_of_push_devices():
    guest = new_guest()
    guest.put("prefs", "k", "v")
    calls = guest.unchecked
    check(
        [
            ("platform unknown", lambda: calls.register_device(**guest.owner, Platform="SMS", Token="t"), BAD, VALIDATION),
            ("device id too long", lambda: calls.subscribe_to_dataset(**guest.at("prefs"), DeviceId="d" * 257), BAD, VALIDATION),
            ("device id too long", lambda: calls.unsubscribe_from_dataset(**guest.at("prefs"), DeviceId="d" * 257), BAD, VALIDATION),
        ]
    )


@case
def the_wrong_kind_of_caller():
    guest = new_guest()
    sibling = Guest(guest.pool)
    stranger = new_guest()
    root = client("cognito-sync")
    device = str(uuid.uuid4())
    token = guest.token("prefs")
    pool = {"IdentityPoolId": guest.pool}
    developer_only = [
        ("DescribeIdentityPoolUsage", lambda: guest.sync.describe_identity_pool_usage(**pool)),
        ("ListIdentityPoolUsage", lambda: guest.sync.list_identity_pool_usage()),
        ("GetIdentityPoolConfiguration", lambda: guest.sync.get_identity_pool_configuration(**pool)),
        ("SetIdentityPoolConfiguration", lambda: guest.sync.set_identity_pool_configuration(**pool, PushSync={})),
        ("GetCognitoEvents", lambda: guest.sync.get_cognito_events(**pool)),
        ("SetCognitoEvents", lambda: guest.sync.set_cognito_events(**pool, Events={})),
        ("BulkPublish", lambda: guest.sync.bulk_publish(**pool)),
        ("GetBulkPublishDetails", lambda: guest.sync.get_bulk_publish_details(**pool)),
    ]
    identity_only = [
        ("RegisterDevice", lambda: root.register_device(**guest.owner, Platform="GCM", Token="t")),
        ("SubscribeToDataset", lambda: root.subscribe_to_dataset(**guest.at("prefs"), DeviceId=device)),
        ("UnsubscribeFromDataset", lambda: root.unsubscribe_from_dataset(**guest.at("prefs"), DeviceId=device)),
        ("UpdateRecords", lambda: root.update_records(**guest.at("prefs"), SyncSessionToken=token, RecordPatches=[])),
    ]
    foreign = []
    for whose, other in (("sibling", sibling), ("stranger", stranger)):
        calls = other.sync
        foreign += [
            (f"ListRecords, {whose}", lambda calls=calls: calls.list_records(**guest.at("prefs"))),
            (f"ListDatasets, {whose}", lambda calls=calls: calls.list_datasets(**guest.owner)),
            (f"DescribeDataset, {whose}", lambda calls=calls: calls.describe_dataset(**guest.at("prefs"))),
            (f"DeleteDataset, {whose}", lambda calls=calls: calls.delete_dataset(**guest.at("prefs"))),
            (f"DescribeIdentityUsage, {whose}", lambda calls=calls: calls.describe_identity_usage(**guest.owner)),
            (
                f"UpdateRecords, {whose}",
                lambda calls=calls: calls.update_records(
                    **guest.at("prefs"), SyncSessionToken=token, RecordPatches=[replace("k", "v")]
                ),
            ),
            (f"RegisterDevice, {whose}", lambda calls=calls: calls.register_device(**guest.owner, Platform="GCM", Token="t")),
        ]
    check([(name, call, FORBIDDEN, WRONG_CALLER) for name, call in developer_only + identity_only + foreign])
    assert guest.list("prefs")["DatasetExists"] is False


run()
