"""Buckets of a deployed stack that are renamed, adopted and taken back keep their data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.checkout import open_folder
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator

STACK = ("--stack", "lab")
KEY, BODY = "kept/only copy.jpg", b"the only copy"


@pytest.fixture(scope="module")
def operator(pulumi: Path) -> Iterator[CloudOperator]:
    """An operator whose stack `lab` is up, data protected, with one object in the output bucket."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY)
        made.checkout.pipeline("up", *STACK)
        s3(made).put_object(Bucket=bucket(made), Key=KEY, Body=BODY)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def outputs(operator: CloudOperator) -> dict[str, Any]:
    found: dict[str, Any] = operator.checkout.json("outputs", "--show-secrets", *STACK)
    return found


def bucket(operator: CloudOperator) -> str:
    return str(outputs(operator)["outputBucket"])


def s3(operator: CloudOperator) -> Any:
    values = outputs(operator)
    return boto3.client(
        "s3",
        endpoint_url=values["s3Endpoint"],
        aws_access_key_id=values["s3AccessKey"],
        aws_secret_access_key=values["s3SecretKey"],
        region_name="us-east-1",
    )


def buckets(operator: CloudOperator) -> set[str]:
    return {each["Name"] for each in operator.s3().list_buckets()["Buckets"]}


def is_kept(operator: CloudOperator, name: str) -> bool:
    return bool(operator.s3().get_object(Bucket=name, Key=KEY)["Body"].read() == BODY)


def no_change(operator: CloudOperator) -> bool:
    return "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_rename_is_refused_before_anything_changes_while_data_are_protected(
    operator: CloudOperator,
) -> None:
    """`up` does not look ahead, so the refusal must come before the first change."""
    name, before = bucket(operator), buckets(operator)
    operator.define("lab", outputBucket="renamed-output")
    for command in ("preview", "up"):
        printed = operator.checkout.pipeline(command, *STACK, code=1).stderr
        assert f"{name} -> renamed-output would remove bucket {name} with its data" in printed
        assert buckets(operator) == before
    operator.define("lab", outputBucket=name)
    assert no_change(operator)
    assert is_kept(operator, name)


def test_made_bucket_is_adopted_and_taken_back_with_all_it_holds(operator: CloudOperator) -> None:
    name = bucket(operator)
    operator.define("lab", outputBucket=name)
    operator.change("lab", adoptBuckets=[name])
    operator.checkout.pipeline("up", *STACK)
    assert is_kept(operator, name)
    assert no_change(operator)
    operator.change("lab", adoptBuckets=[])
    operator.checkout.pipeline("up", *STACK)
    assert is_kept(operator, name)


@pytest.mark.long
def test_adopting_another_bucket_instead_is_refused_while_data_are_protected(
    operator: CloudOperator,
) -> None:
    name = bucket(operator)
    operator.s3().create_bucket(Bucket="there-before")
    operator.s3().put_object(Bucket="there-before", Key=KEY, Body=BODY)
    operator.define("lab", outputBucket="there-before")
    operator.change("lab", adoptBuckets=["there-before"])
    printed = operator.checkout.pipeline("up", *STACK, code=1).stderr
    assert f"would remove bucket {name} with its data" in printed
    operator.define("lab", outputBucket=name)
    operator.change("lab", adoptBuckets=[])
    assert is_kept(operator, name)
    assert is_kept(operator, "there-before")


@pytest.mark.long
def test_bucket_that_exists_is_refused_and_can_then_be_adopted(operator: CloudOperator) -> None:
    """What `up` advises does no harm, and neither does going back."""
    name = bucket(operator)
    operator.define("lab", outputBucket="there-before")
    operator.change("lab", protectData=False)
    printed = operator.checkout.pipeline("up", *STACK, code=1).stderr
    assert "there-before exists already and is yours" in printed
    operator.define("lab", outputBucket=name)
    operator.change("lab", protectData=True)
    operator.checkout.pipeline("up", *STACK)
    assert no_change(operator)
    assert is_kept(operator, name)
    assert is_kept(operator, "there-before")


@pytest.mark.long
def test_destroy_leaves_an_adopted_bucket(operator: CloudOperator) -> None:
    name, client = bucket(operator), operator.s3()
    operator.change("lab", adoptBuckets=[name])
    operator.checkout.pipeline("up", *STACK)
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert client.get_object(Bucket=name, Key=KEY)["Body"].read() == BODY
    left = {each["Name"] for each in client.list_buckets()["Buckets"]}
    assert left == {name, "there-before"}
    for version in client.list_object_versions(Bucket=name)["Versions"]:
        client.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
    client.delete_bucket(Bucket=name)


@pytest.mark.long
def test_rename_without_protection_replaces_the_bucket(operator: CloudOperator) -> None:
    operator.change("lab", protectData=False, adoptBuckets=[])
    operator.checkout.pipeline("up", *STACK)
    name = bucket(operator)
    operator.s3().put_object(Bucket=name, Key=KEY, Body=BODY)
    operator.define("lab", outputBucket="renamed-output")
    operator.checkout.pipeline("up", *STACK)
    assert bucket(operator) == "renamed-output"
    assert name not in buckets(operator)
    assert "renamed-output" in buckets(operator)
    assert no_change(operator)
