"""The AWS CLI over every operation, each line as a person would type it. Prints one JSON line per case."""

import json
import os
import shlex
import subprocess
import sys
import uuid

from world import case, run

ENVIRONMENT = dict(os.environ)


def aws(line, **environment):
    """Runs one ``aws`` line and returns what it printed, parsed; the words are split as a shell would."""
    done = subprocess.run(
        [sys.executable, "-m", "awscli", *shlex.split(line), "--output", "json"],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"aws {line}\n{done.stderr}"
    return json.loads(done.stdout) if done.stdout.strip() else {}


def aws_refused(line, name, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "awscli", *shlex.split(line)],
        env={**ENVIRONMENT, "AWS_MAX_ATTEMPTS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0, f"aws {line} went through:\n{done.stdout}"
    assert f"({name})" in done.stderr, f"aws {line}: expected {name}\n{done.stderr}"


@case
def a_tour_with_the_command_line():
    pool = aws(
        "cognito-identity create-identity-pool --identity-pool-name tour --allow-unauthenticated-identities"
    )["IdentityPoolId"]
    who = aws(f"cognito-identity get-id --identity-pool-id {pool} --no-sign-request")["IdentityId"]
    keys = aws(f"cognito-identity get-credentials-for-identity --identity-id {who} --no-sign-request")["Credentials"]
    guest = {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }
    owner = f"--identity-pool-id {pool} --identity-id {who}"
    at = f"{owner} --dataset-name prefs"

    token = aws(f"cognito-sync list-records {at}", **guest)["SyncSessionToken"]
    written = aws(
        f"cognito-sync update-records {at} --sync-session-token {token}"
        " --record-patches Op=replace,Key=theme,Value=dark,SyncCount=0 Op=replace,Key=size,Value=12,SyncCount=0",
        **guest,
    )
    assert [record["SyncCount"] for record in written["Records"]] == [1, 1]
    listing = aws(f"cognito-sync list-records {at}", **guest)
    assert {record["Key"]: record["Value"] for record in listing["Records"]} == {"theme": "dark", "size": "12"}
    assert aws(f"cognito-sync list-records {at} --last-sync-count 1", **guest)["Records"] == []
    aws_refused(f"cognito-sync list-records {at} --last-sync-count 9", "InvalidParameterException", **guest)
    aws_refused(
        f"cognito-sync update-records {at} --sync-session-token {listing['SyncSessionToken']}"
        " --record-patches Op=replace,Key=theme,Value=light,SyncCount=0",
        "ResourceConflictException",
        **guest,
    )
    assert aws(f"cognito-sync list-datasets {owner}", **guest)["Count"] == 1
    assert aws(f"cognito-sync describe-dataset {at}", **guest)["Dataset"]["NumRecords"] == 2
    assert aws(f"cognito-sync describe-identity-usage {owner}", **guest)["IdentityUsage"]["DatasetCount"] == 1

    usage = aws(f"cognito-sync describe-identity-pool-usage --identity-pool-id {pool}")["IdentityPoolUsage"]
    assert usage["DataStorage"] == len("themedark") + len("size12")
    assert aws("cognito-sync list-identity-pool-usage")["Count"] >= 1
    aws_refused(f"cognito-sync describe-identity-pool-usage --identity-pool-id {pool}", "NotAuthorizedException", **guest)

    assert aws(f"cognito-sync delete-dataset {at}", **guest)["Dataset"]["DatasetName"] == "prefs"
    aws_refused(f"cognito-sync describe-dataset {at}", "ResourceNotFoundException", **guest)


@case
def the_operators_lines():
    pool = aws(
        "cognito-identity create-identity-pool --identity-pool-name operators --allow-unauthenticated-identities"
    )["IdentityPoolId"]
    named = f"--identity-pool-id {pool}"
    role = "arn:aws:iam::123456789012:role/streams"
    aws(
        f"cognito-sync set-identity-pool-configuration {named}"
        f" --cognito-streams StreamName=changes,RoleArn={role},StreamingStatus=DISABLED"
    )
    streams = aws(f"cognito-sync get-identity-pool-configuration {named}")["CognitoStreams"]
    assert streams == {"StreamName": "changes", "RoleArn": role, "StreamingStatus": "DISABLED"}
    function = "arn:aws:lambda:us-east-1:123456789012:function:on-sync"
    aws(f"cognito-sync set-cognito-events {named} --events SyncTrigger={function}")
    assert aws(f"cognito-sync get-cognito-events {named}")["Events"] == {"SyncTrigger": function}
    assert aws(f"cognito-sync get-bulk-publish-details {named}")["BulkPublishStatus"] == "NOT_STARTED"
    aws_refused(f"cognito-sync bulk-publish {named}", "InvalidParameterException")
    assert aws(f"cognito-identity list-identities {named} --max-results 10")["Identities"] == []
    who = f"us-east-1:{uuid.uuid4()}"
    aws_refused(
        f"cognito-sync register-device {named} --identity-id {who} --platform GCM --token t", "NotAuthorizedException"
    )
    dataset = f"{named} --identity-id {who} --dataset-name prefs --device-id {uuid.uuid4()}"
    aws_refused(f"cognito-sync subscribe-to-dataset {dataset}", "NotAuthorizedException")
    aws_refused(f"cognito-sync unsubscribe-from-dataset {dataset}", "NotAuthorizedException")
    assert aws("sts get-caller-identity")["Account"] == "000000000000"
    aws(f"cognito-identity delete-identity-pool {named}")
    aws_refused(f"cognito-sync get-cognito-events {named}", "ResourceNotFoundException")


run()
