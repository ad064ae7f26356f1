"""boto3 over all 17 operations of Cognito Sync: what they answer when nothing is wrong."""

import datetime
import uuid

from world import ACCOUNT, Guest, bare_pool, case, client, eventually, new_guest, new_pool, refused, remove, replace, run

UTC = datetime.timezone.utc
ROLE = "arn:aws:iam::123456789012:role/sync-push"
APPLICATION = "arn:aws:sns:us-east-1:123456789012:app/GCM/notes"


@case
def a_dataset_that_never_existed_lists_as_empty():
    answer = new_guest().list("prefs")
    assert answer["Records"] == []
    assert answer["Count"] == 0
    assert answer["DatasetSyncCount"] == 0
    assert answer["DatasetExists"] is False
    assert answer["DatasetDeletedAfterRequestedSyncCount"] is False
    assert answer.get("MergedDatasetNames") in (None, [])
    assert answer.get("NextToken") is None
    assert answer.get("LastModifiedBy") is None
    assert len(answer["SyncSessionToken"]) > 20


@case
def the_first_write_counts_one_and_later_writes_count_on():
    guest = new_guest()
    first = guest.put("prefs", "theme", "dark")
    assert first["SyncCount"] == 1
    assert first["Value"] == "dark"
    answer = guest.update("prefs", replace("theme", "light", 1), replace("size", "12"))
    assert [record["SyncCount"] for record in answer["Records"]] == [2, 2]
    listing = guest.list("prefs")
    assert listing["DatasetSyncCount"] == 2
    assert listing["DatasetExists"] is True
    assert listing["Count"] == 2
    assert {record["Key"]: record["Value"] for record in listing["Records"]} == {"theme": "light", "size": "12"}


@case
def the_same_value_with_the_right_count_is_a_write_all_the_same():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    assert guest.put("prefs", "theme", "dark", 1)["SyncCount"] == 2


@case
def a_delta_holds_only_what_changed_after_the_count():
    guest = new_guest()
    for number in range(4):
        guest.put("prefs", f"key-{number}", "v")
    delta = guest.list("prefs", LastSyncCount=2)
    assert [record["Key"] for record in delta["Records"]] == ["key-2", "key-3"]
    assert guest.list("prefs", LastSyncCount=4)["Records"] == []


@case
def records_carry_their_dates_and_their_author():
    guest = new_guest()
    device_date = datetime.datetime(2015, 3, 4, 5, 6, 7, tzinfo=UTC)
    before = datetime.datetime.now(UTC) - datetime.timedelta(seconds=5)
    guest.update("prefs", replace("theme", "dark", DeviceLastModifiedDate=device_date))
    record = guest.list("prefs")["Records"][0]
    assert record["DeviceLastModifiedDate"] == device_date, record
    assert before < record["LastModifiedDate"] < datetime.datetime.now(UTC) + datetime.timedelta(seconds=5)
    assert record["LastModifiedBy"] == guest.id
    assert guest.list("prefs")["LastModifiedBy"] == guest.id


@case
def a_record_without_a_device_date_gets_the_servers():
    guest = new_guest()
    record = guest.put("prefs", "theme", "dark")
    assert record["DeviceLastModifiedDate"] == record["LastModifiedDate"]


@case
def a_removed_record_is_listed_without_a_value_and_free():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    answer = guest.update("prefs", remove("theme", 1))
    assert answer["Records"][0]["SyncCount"] == 2
    assert answer["Records"][0].get("Value") is None
    record = guest.list("prefs")["Records"][0]
    assert (record["Key"], record["SyncCount"], record.get("Value")) == ("theme", 2, None)
    described = guest.sync.describe_dataset(**guest.at("prefs"))["Dataset"]
    assert (described["NumRecords"], described["DataStorage"]) == (0, 0)


@case
def a_remove_may_carry_a_value_and_may_name_a_key_never_seen():
    guest = new_guest()
    answer = guest.update("prefs", {**remove("ghost"), "Value": ""})
    assert (answer["Records"][0]["Key"], answer["Records"][0]["SyncCount"]) == ("ghost", 1)
    assert answer["Records"][0].get("Value") is None


@case
def a_removed_key_is_added_again_under_the_count_of_its_removal():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    guest.update("prefs", remove("theme", 1))
    refused(lambda: guest.put("prefs", "theme", "back", 0), "ResourceConflictException", 409)
    assert guest.put("prefs", "theme", "back", 2)["SyncCount"] == 3


@case
def the_empty_string_is_a_value():
    guest = new_guest()
    assert guest.put("prefs", "note", "")["Value"] == ""
    assert guest.list("prefs")["Records"][0]["Value"] == ""


@case
def every_unicode_scalar_value_is_kept():
    guest = new_guest()
    strange = "\u0000 tab\t nl\n \"quotes\" \\ \u007f \u2028 \ufeff \ufffd \U0001f9f3 e\u0301 \U0010ffff"
    guest.put("prefs", strange, strange * 3)
    record = guest.list("prefs")["Records"][0]
    assert record["Key"] == strange
    assert record["Value"] == strange * 3
    size = len(strange.encode()) * 4
    assert guest.sync.describe_dataset(**guest.at("prefs"))["Dataset"]["DataStorage"] == size


@case
def an_empty_patch_list_changes_nothing_and_leaves_the_token_alive():
    guest = new_guest()
    token = guest.token("prefs")
    assert guest.update("prefs", token=token)["Records"] == []
    assert guest.list("prefs")["DatasetExists"] is False
    assert guest.update("prefs", replace("a", "1"), token=token)["Records"][0]["SyncCount"] == 1


@case
def a_session_survives_a_conflict_and_dies_with_its_success():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    token = guest.token("prefs")
    refused(
        lambda: guest.update("prefs", replace("theme", "x", 0), token=token),
        "ResourceConflictException",
        409,
        "Current SyncCount for: theme is: 1 not: 0",
    )
    listed = guest.list("prefs", SyncSessionToken=token)
    assert listed["SyncSessionToken"]
    guest.update("prefs", replace("theme", "x", 1), token=token)
    refused(
        lambda: guest.list("prefs", SyncSessionToken=token),
        "InvalidParameterException",
        400,
        "SyncSessionToken not valid for these inputs",
    )
    refused(
        lambda: guest.update("prefs", replace("other", "x", 0), token=token),
        "InvalidParameterException",
        400,
        "SyncSessionToken not valid for these inputs",
    )
    assert guest.list("prefs")["DatasetSyncCount"] == 2


@case
def a_session_lives_on_when_another_device_writes_other_keys():
    guest = new_guest()
    token = guest.token("prefs")
    guest.put("prefs", "theirs", "1")
    assert guest.update("prefs", replace("ours", "1"), token=token)["Records"][0]["SyncCount"] == 2


@case
def a_conflict_rejects_the_whole_update():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    refused(
        lambda: guest.update("prefs", replace("fresh", "1"), replace("theme", "x", 7)),
        "ResourceConflictException",
        409,
        "Current SyncCount for: theme is: 1 not: 7",
    )
    listing = guest.list("prefs")
    assert [record["Key"] for record in listing["Records"]] == ["theme"]
    assert listing["DatasetSyncCount"] == 1


@case
def pages_repeat_the_first_pages_count_and_lose_nothing():
    guest = new_guest()
    guest.update("prefs", *[replace(f"key-{number}", "old") for number in range(5)])
    first = guest.list("prefs", MaxResults=2)
    assert (first["Count"], len(first["Records"]), first["DatasetSyncCount"]) == (2, 2, 1)
    guest.put("prefs", "key-4", "new", 1)
    seen = [record["Key"] for record in first["Records"]]
    page = first
    while page.get("NextToken"):
        page = guest.list("prefs", MaxResults=2, NextToken=page["NextToken"])
        assert page["DatasetSyncCount"] == 1
        assert page["DatasetExists"] is True
        assert page["SyncSessionToken"]
        assert page["Count"] == len(page["Records"])
        seen += [record["Key"] for record in page["Records"] if record["SyncCount"] == 1]
    assert seen == ["key-0", "key-1", "key-2", "key-3"], seen
    assert [record["Value"] for record in guest.list("prefs", LastSyncCount=1)["Records"]] == ["new"]


@case
def without_a_page_size_one_page_holds_everything():
    guest = new_guest()
    guest.update("prefs", *[replace(f"key-{number}", "v") for number in range(1024)])
    guest.update("prefs", *[remove(f"key-{number}", 1) for number in range(1024)])
    guest.update("prefs", *[replace(f"new-{number}", "v") for number in range(1024)])
    whole = guest.list("prefs")
    assert (whole["Count"], whole.get("NextToken")) == (2048, None)
    clamped = guest.list("prefs", MaxResults=100_000)
    assert clamped["Count"] == 1024
    rest = guest.list("prefs", MaxResults=100_000, NextToken=clamped["NextToken"])
    assert (rest["Count"], rest.get("NextToken")) == (1024, None)


@case
def a_page_token_belongs_to_its_listing():
    guest = new_guest()
    for dataset in ("prefs", "other"):
        guest.update(dataset, *[replace(f"key-{number}", "v") for number in range(3)])
    token = guest.list("prefs", MaxResults=1)["NextToken"]
    for call in (
        lambda: guest.list("other", MaxResults=1, NextToken=token),
        lambda: guest.list("prefs", MaxResults=1, NextToken=token, LastSyncCount=1),
        lambda: guest.list("prefs", MaxResults=1, NextToken=token + "A"),
        lambda: guest.list("prefs", MaxResults=1, NextToken="bm90IGEgdG9rZW4="),
    ):
        refused(call, "InvalidParameterException", 400)
    guest.sync.delete_dataset(**guest.at("prefs"))
    refused(lambda: guest.list("prefs", MaxResults=1, NextToken=token), "InvalidParameterException", 400)


@case
def datasets_are_described_and_listed():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    guest.put("a.b_c:d-E", "k", "é")
    described = guest.sync.describe_dataset(**guest.at("prefs"))["Dataset"]
    assert described["IdentityId"] == guest.id
    assert described["DatasetName"] == "prefs"
    assert (described["NumRecords"], described["DataStorage"]) == (1, 9)
    assert described["LastModifiedBy"] == guest.id
    assert described["CreationDate"] <= described["LastModifiedDate"]
    listed = guest.sync.list_datasets(**guest.owner)
    assert listed["Count"] == 2
    assert {dataset["DatasetName"]: dataset["DataStorage"] for dataset in listed["Datasets"]} == {
        "prefs": 9,
        "a.b_c:d-E": 3,
    }
    assert described in listed["Datasets"]


@case
def datasets_are_listed_in_pages():
    guest = new_guest()
    names = {f"set-{number:02}" for number in range(7)}
    for name in names:
        guest.put(name, "k", "v")
    seen, token = [], {}
    while True:
        page = guest.sync.list_datasets(**guest.owner, MaxResults=3, **token)
        assert page["Count"] == len(page["Datasets"]) <= 3
        seen += [dataset["DatasetName"] for dataset in page["Datasets"]]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    assert len(seen) == 7 and set(seen) == names, seen


@case
def an_identity_without_data_lists_nothing():
    guest = new_guest()
    for caller in (guest.sync, client("cognito-sync")):
        answer = caller.list_datasets(**guest.owner)
        assert (answer["Datasets"], answer["Count"]) == ([], 0)
    usage = guest.sync.describe_identity_usage(**guest.owner)["IdentityUsage"]
    assert (usage["DatasetCount"], usage["DataStorage"]) == (0, 0)


@case
def deletion_answers_what_was_there_and_takes_the_next_count():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    guest.put("prefs", "size", "12")
    gone = guest.sync.delete_dataset(**guest.at("prefs"))["Dataset"]
    assert (gone["DatasetName"], gone["NumRecords"], gone["DataStorage"]) == ("prefs", 2, 15)
    for call in (guest.sync.describe_dataset, guest.sync.delete_dataset):
        refused(lambda: call(**guest.at("prefs")), "ResourceNotFoundException", 404)
    assert guest.sync.list_datasets(**guest.owner)["Datasets"] == []
    for count, flagged in ((0, False), (1, True), (2, True), (3, False)):
        answer = guest.list("prefs", LastSyncCount=count)
        assert answer["DatasetExists"] is False
        assert answer["DatasetDeletedAfterRequestedSyncCount"] is flagged, count
        assert answer["DatasetSyncCount"] == 3
        assert answer["Records"] == []
    refused(lambda: guest.list("prefs", LastSyncCount=4), "InvalidParameterException", 400, "No such SyncCount: 4")


@case
def a_recreated_dataset_counts_on_and_shows_its_new_life_only():
    guest = new_guest()
    guest.put("prefs", "old", "1")
    stale = guest.token("prefs")
    guest.sync.delete_dataset(**guest.at("prefs"))
    refused(
        lambda: guest.update("prefs", replace("new", "1"), token=stale), "ResourceConflictException", 409
    )
    assert guest.list("prefs")["DatasetExists"] is False
    # A device that knows the reported count may patch a key that is new to it under that count.
    answer = guest.list("prefs")
    guest.update("prefs", replace("new", "1", answer["DatasetSyncCount"]), token=answer["SyncSessionToken"])
    for count, flagged in ((0, False), (1, True), (2, False)):
        answer = guest.list("prefs", LastSyncCount=count)
        assert answer["DatasetExists"] is True
        assert answer["DatasetDeletedAfterRequestedSyncCount"] is flagged, count
        assert answer["DatasetSyncCount"] == 3
        assert [record["Key"] for record in answer["Records"]] == ["new"]


@case
def a_missing_dataset_accepts_any_count_when_it_never_existed():
    answer = new_guest().list("prefs", LastSyncCount=41)
    assert (answer["DatasetExists"], answer["DatasetSyncCount"]) == (False, 0)
    assert answer["DatasetDeletedAfterRequestedSyncCount"] is False


@case
def usage_follows_every_change():
    guest = new_guest()
    other = Guest(guest.pool)
    guest.put("prefs", "theme", "dark")
    guest.put("notes", "n", "123")
    other.put("prefs", "k", "v")
    usage = guest.sync.describe_identity_usage(**guest.owner)["IdentityUsage"]
    assert (usage["IdentityId"], usage["IdentityPoolId"]) == (guest.id, guest.pool)
    assert (usage["DatasetCount"], usage["DataStorage"]) == (2, 13)
    assert usage["LastModifiedDate"]
    root = client("cognito-sync")

    def stored():
        return root.describe_identity_pool_usage(IdentityPoolId=guest.pool)["IdentityPoolUsage"]["DataStorage"]

    assert stored() == 15
    guest.update("prefs", replace("theme", "d", 1))
    assert stored() == 12
    guest.sync.delete_dataset(**guest.at("notes"))
    assert stored() == 8
    usage = guest.sync.describe_identity_usage(**guest.owner)["IdentityUsage"]
    assert (usage["DatasetCount"], usage["DataStorage"]) == (1, 6)


@case
def sessions_are_counted_from_the_first_on():
    root = client("cognito-sync")
    guest = new_guest()

    def sessions():
        usage = root.describe_identity_pool_usage(IdentityPoolId=guest.pool)["IdentityPoolUsage"]
        assert usage["IdentityPoolId"] == guest.pool
        assert usage["LastModifiedDate"]
        return usage.get("SyncSessionsCount")

    assert sessions() is None
    for _ in range(3):
        guest.token("prefs")
    eventually(lambda: sessions() == 3)


@case
def pool_usage_is_listed_in_pages_with_the_page_size_echoed():
    root = client("cognito-sync")
    pools = {new_pool() for _ in range(3)}
    seen, token = [], {}
    while True:
        page = root.list_identity_pool_usage(MaxResults=2, **token)
        assert page["MaxResults"] == 2
        assert page["Count"] == len(page["IdentityPoolUsages"]) <= 2
        seen += [usage["IdentityPoolId"] for usage in page["IdentityPoolUsages"]]
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    assert len(seen) == len(set(seen))
    assert pools <= set(seen)


@case
def the_pools_configuration_is_kept_and_removed():
    root = client("cognito-sync")
    pool = bare_pool()
    fresh = root.get_identity_pool_configuration(IdentityPoolId=pool)
    assert fresh["IdentityPoolId"] == pool
    assert fresh.get("PushSync") is None and fresh.get("CognitoStreams") is None
    push = {"ApplicationArns": [APPLICATION], "RoleArn": ROLE}
    streams = {"StreamName": "changes", "RoleArn": ROLE, "StreamingStatus": "ENABLED"}
    answer = root.set_identity_pool_configuration(IdentityPoolId=pool, PushSync=push, CognitoStreams=streams)
    assert (answer["IdentityPoolId"], answer["PushSync"], answer["CognitoStreams"]) == (pool, push, streams)
    # An omitted block stays as it is; an empty one goes.
    answer = root.set_identity_pool_configuration(IdentityPoolId=pool, PushSync={})
    assert answer.get("PushSync") is None
    kept = root.get_identity_pool_configuration(IdentityPoolId=pool)
    assert kept.get("PushSync") is None
    assert kept["CognitoStreams"] == streams
    # Application ARNs without a role are kept as they are.
    root.set_identity_pool_configuration(IdentityPoolId=pool, PushSync={"ApplicationArns": [APPLICATION]})
    assert root.get_identity_pool_configuration(IdentityPoolId=pool)["PushSync"] == {"ApplicationArns": [APPLICATION]}


@case
def events_are_kept_by_key_and_removed_by_the_empty_string():
    root = client("cognito-sync")
    pool = bare_pool()
    function = "arn:aws:lambda:us-east-1:123456789012:function:on-sync"
    assert root.get_cognito_events(IdentityPoolId=pool).get("Events") in (None, {})
    root.set_cognito_events(IdentityPoolId=pool, Events={"SyncTrigger": function})
    assert root.get_cognito_events(IdentityPoolId=pool)["Events"] == {"SyncTrigger": function}
    root.set_cognito_events(IdentityPoolId=pool, Events={})
    assert root.get_cognito_events(IdentityPoolId=pool)["Events"] == {"SyncTrigger": function}
    root.set_cognito_events(IdentityPoolId=pool, Events={"SyncTrigger": ""})
    assert root.get_cognito_events(IdentityPoolId=pool)["Events"] == {}


@case
def bulk_publish_has_not_started():
    root = client("cognito-sync")
    pool = bare_pool()
    details = root.get_bulk_publish_details(IdentityPoolId=pool)
    assert (details["IdentityPoolId"], details["BulkPublishStatus"]) == (pool, "NOT_STARTED")
    for member in ("BulkPublishStartTime", "BulkPublishCompleteTime", "FailureMessage"):
        assert details.get(member) is None
    refused(lambda: root.bulk_publish(IdentityPoolId=pool), "InvalidParameterException", 400)


@case
def push_is_not_configured_and_says_so():
    guest = Guest(bare_pool())
    guest.put("prefs", "k", "v")
    refused(
        lambda: guest.sync.register_device(**guest.owner, Platform="GCM", Token="t"),
        "InvalidConfigurationException",
        400,
        contains="PushSync.ApplicationArns",
    )
    device = str(uuid.uuid4())
    refused(
        lambda: guest.sync.subscribe_to_dataset(**guest.at("prefs"), DeviceId=device),
        "InvalidConfigurationException",
        400,
        contains="PushSync.ApplicationArns",
    )
    refused(
        lambda: guest.sync.unsubscribe_from_dataset(**guest.at("prefs"), DeviceId=device),
        "ResourceNotFoundException",
        404,
    )


@case
def developers_read_what_guests_wrote():
    guest = new_guest()
    guest.put("prefs", "theme", "dark")
    root = client("cognito-sync")
    assert root.list_records(**guest.at("prefs"))["Records"][0]["Value"] == "dark"
    assert root.list_datasets(**guest.owner)["Count"] == 1
    assert root.describe_dataset(**guest.at("prefs"))["Dataset"]["LastModifiedBy"] == guest.id
    assert root.describe_identity_usage(**guest.owner)["IdentityUsage"]["DatasetCount"] == 1
    assert root.delete_dataset(**guest.at("prefs"))["Dataset"]["NumRecords"] == 1


@case
def developers_address_any_id_that_the_pattern_allows():
    pool = new_pool()
    owner = {"IdentityPoolId": pool, "IdentityId": "us-east-1:0-0"}
    assert client("cognito-sync").list_records(**owner, DatasetName="prefs")["DatasetExists"] is False


@case
def developers_may_not_update_records():
    guest = new_guest()
    token = guest.token("prefs")
    refused(
        lambda: client("cognito-sync").update_records(
            **guest.at("prefs"), SyncSessionToken=token, RecordPatches=[replace("k", "v")]
        ),
        "NotAuthorizedException",
        403,
        "These credentials are not valid for accessing this resource",
        contains="allow_developer_updates",
    )


@case
def the_client_context_is_ignored():
    guest = new_guest()
    answer = guest.update("prefs", replace("k", "v"), ClientContext="eyJhIjoxfQ==")
    assert answer["Records"][0]["SyncCount"] == 1


@case
def the_device_id_becomes_the_author():
    guest = new_guest()
    device = str(uuid.uuid4())
    answer = guest.update("prefs", replace("k", "v"), DeviceId=device)
    assert answer["Records"][0]["LastModifiedBy"] == device


@case
def every_answer_names_its_request():
    guest = new_guest()
    answers = [guest.list("prefs")["ResponseMetadata"] for _ in range(2)]
    ids = {answer["RequestId"] for answer in answers}
    assert len(ids) == 2 and all(ids)
    for answer in answers:
        assert answer["HTTPHeaders"]["content-type"] == "application/json"
        assert answer["HTTPHeaders"]["date"].endswith("GMT")


@case
def the_account_is_the_default_one():
    identity = client("sts").get_caller_identity()
    assert identity["Account"] == ACCOUNT


run()
