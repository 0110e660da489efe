"""Buckets of a deployed stack that are renamed, adopted and taken back keep their data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.checkout import open_folder
from tests.engine.researcher import LOCALLY, Researcher, researcher

STACK = ("--stack", "lab")
KEY, BODY = "kept/only copy.jpg", b"dear to me"


@pytest.fixture(scope="module")
def person(pulumi: Path) -> Iterator[Researcher]:
    """Somebody whose stack `lab` is up, data protected, with one object in the output bucket."""
    with open_folder() as folder, researcher(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY)
        made.checkout.pipeline("up", *STACK)
        s3(made).put_object(Bucket=bucket(made), Key=KEY, Body=BODY)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def outputs(person: Researcher) -> dict[str, Any]:
    found: dict[str, Any] = person.checkout.json("outputs", "--show-secrets", *STACK)
    return found


def bucket(person: Researcher) -> str:
    return str(outputs(person)["outputBucket"])


def s3(person: Researcher) -> Any:
    told = outputs(person)
    return boto3.client(
        "s3",
        endpoint_url=told["s3Endpoint"],
        aws_access_key_id=told["s3AccessKey"],
        aws_secret_access_key=told["s3SecretKey"],
        region_name="us-east-1",
    )


def buckets(person: Researcher) -> set[str]:
    return {each["Name"] for each in s3(person).list_buckets()["Buckets"]}


def is_kept(person: Researcher, name: str) -> bool:
    return bool(s3(person).get_object(Bucket=name, Key=KEY)["Body"].read() == BODY)


def no_change(person: Researcher) -> bool:
    return "No change." in person.checkout.pipeline("preview", *STACK).stdout


@pytest.mark.parametrize("command", ["preview", "up"])
def test_rename_is_refused_before_anything_changes_while_data_are_protected(
    person: Researcher, command: str
) -> None:
    """`up` does not look ahead, so the refusal must come before the first change."""
    name, before = bucket(person), buckets(person)
    person.change("lab", outputBucket="renamed-output")
    told = person.checkout.pipeline(command, *STACK, code=1).stderr
    assert f"{name} -> renamed-output would remove bucket {name} with its data" in told
    assert buckets(person) == before
    person.change("lab", outputBucket=name)
    assert no_change(person)
    assert is_kept(person, name)


def test_made_bucket_is_adopted_and_taken_back_with_all_it_holds(person: Researcher) -> None:
    name = bucket(person)
    person.change("lab", outputBucket=name, adoptBuckets=[name])
    person.checkout.pipeline("up", *STACK)
    assert is_kept(person, name)
    assert no_change(person)
    person.change("lab", adoptBuckets=[])
    person.checkout.pipeline("up", *STACK)
    assert is_kept(person, name)
    assert no_change(person)


def test_adopting_another_bucket_instead_is_refused_while_data_are_protected(
    person: Researcher,
) -> None:
    name = bucket(person)
    s3(person).create_bucket(Bucket="there-before")
    s3(person).put_object(Bucket="there-before", Key=KEY, Body=BODY)
    person.change("lab", outputBucket="there-before", adoptBuckets=["there-before"])
    told = person.checkout.pipeline("up", *STACK, code=1).stderr
    assert f"would remove bucket {name} with its data" in told
    person.change("lab", outputBucket=name, adoptBuckets=[])
    assert no_change(person)
    assert is_kept(person, name)
    assert is_kept(person, "there-before")


def test_bucket_that_exists_is_refused_and_can_then_be_adopted(person: Researcher) -> None:
    """What `up` advises does no harm, and neither does going back."""
    name = bucket(person)
    person.change("lab", protectData=False, outputBucket="there-before")
    told = person.checkout.pipeline("up", *STACK, code=1).stderr
    assert "there-before exists already and is yours" in told
    person.change("lab", protectData=True, outputBucket=name)
    person.checkout.pipeline("up", *STACK)
    assert no_change(person)
    assert is_kept(person, name)
    assert is_kept(person, "there-before")


def test_destroy_leaves_an_adopted_bucket(person: Researcher) -> None:
    name, client = bucket(person), s3(person)
    person.change("lab", adoptBuckets=[name])
    person.checkout.pipeline("up", *STACK)
    person.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert client.get_object(Bucket=name, Key=KEY)["Body"].read() == BODY
    left = {each["Name"] for each in client.list_buckets()["Buckets"]}
    assert left == {name, "there-before"}
    client.delete_object(Bucket=name, Key=KEY)
    client.delete_bucket(Bucket=name)


def test_rename_without_protection_replaces_the_bucket(person: Researcher) -> None:
    person.change("lab", protectData=False, adoptBuckets=[])
    person.checkout.pipeline("up", *STACK)
    name = bucket(person)
    s3(person).put_object(Bucket=name, Key=KEY, Body=BODY)
    person.change("lab", outputBucket="renamed-output")
    person.checkout.pipeline("up", *STACK)
    assert bucket(person) == "renamed-output"
    assert name not in buckets(person)
    assert "renamed-output" in buckets(person)
    assert no_change(person)
