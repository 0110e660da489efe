"""A stack that an older version deployed is refreshed, updated and destroyed by this one."""

import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from PIL import Image

from local.machine.process.machine import ProcessMachine
from tests.checkout import PROJECT, Checkout, open_folder
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.eventually import eventually

pytestmark = pytest.mark.long  # tests/unit/test_old_states.py stays in the quick loop
STACK = ("--stack", "lab")
#: The version before the packages of infra/ and worker/ were made: its states name old modules.
OLD = "29b343184e94d455abdc74f28740440d855312b3"
KEY, BODY = "kept.bin", b"made by the old version"
DONE = [f"album/{number:02}.jpg" for number in range(100)]
WAITING = [f"waiting/{number}.jpg" for number in range(5)]
#: What may be made anew: the machine, what is attached to it, and the worker's package.
REPLACED = {"vm", "floating-ip-on-port", "worker"}


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old version's files, with this run's packages; skipped where the history is shallow."""
    have = subprocess.run(["git", "cat-file", "-e", f"{OLD}^{{commit}}"], cwd=PROJECT, check=False)
    if have.returncode:
        pytest.skip(f"Skipped: the history is shallow, commit {OLD[:7]} is not in it.")
    folder = tmp_path_factory.mktemp("old")
    archive = subprocess.run(
        ["git", "archive", OLD], cwd=PROJECT, check=True, stdout=subprocess.PIPE
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    # Its own script would install the packages that it pins.
    script = '#!/bin/sh\nPYTHONPATH=$PWD exec .venv/bin/python -m cli "$@"\n'
    (folder / "pipeline").write_text(script)
    return folder


@pytest.fixture(scope="module")
def operator(old: Path, pulumi: Path) -> Iterator[CloudOperator]:
    """An operator whose stack `lab` the old version deployed: 100 photos are done, 5 wait."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        before = replace(made.checkout, folder=old)
        before.pipeline("init", "lab", *LOCALLY)
        before.pipeline("up", *STACK)
        store, values = s3(before), outputs(before)
        upload(store, values["inputBucket"], DONE)
        for command in (["migrate"], ["drain"]):
            run_old_worker(made, old, command)
        upload(store, values["inputBucket"], WAITING)
        store.put_object(Bucket=values["outputBucket"], Key=KEY, Body=BODY)
        settings = (old / "Pulumi.lab.yaml").read_text()
        made.settings_file("lab").write_text(settings)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def upload(store: Any, bucket: str, keys: list[str]) -> None:
    for number, key in enumerate(keys):
        photo = io.BytesIO()
        Image.new("RGB", (8, 8), (number, 200, 90)).save(photo, "JPEG")
        store.put_object(Bucket=bucket, Key=key, Body=photo.getvalue())


def machine(operator: CloudOperator) -> ProcessMachine:
    (only,) = operator.cloud.machines()
    assert isinstance(only, ProcessMachine)
    return only


def run_old_worker(operator: CloudOperator, old: Path, arguments: list[str]) -> None:
    """Run the old worker as on its machine, whose boot is another in this version."""
    host = machine(operator)
    eventually(host.settings.exists)
    subprocess.run(
        host.worker_command(arguments),
        cwd=host.folder,
        env={**host.environment(), "PYTHONPATH": str(old)},
        check=True,
        capture_output=True,
    )


def outputs(checkout: Checkout) -> dict[str, Any]:
    found: dict[str, Any] = checkout.json("outputs", "--show-secrets", *STACK)
    return found


def s3(checkout: Checkout) -> Any:
    values = outputs(checkout)
    return boto3.client(
        "s3",
        endpoint_url=values["s3Endpoint"],
        aws_access_key_id=values["s3AccessKey"],
        aws_secret_access_key=values["s3SecretKey"],
        region_name="us-east-1",
    )


def ids(operator: CloudOperator) -> dict[str, str]:
    """What must not change: ids of resources and outputs."""
    cloud = operator.openstack()
    (server,), (address,) = list(cloud.compute.servers()), list(cloud.network.ips())
    (instance,) = cloud.database.get("/instances").json()["instances"]
    values = outputs(operator.checkout)
    return {
        "machine": server.id,
        "floating IP": address.id,
        "database": instance["id"],
        "database password": values["databaseAdminPassword"],
        "access key": values["s3AccessKey"],
        "buckets": " ".join(values[f"{role}Bucket"] for role in ("input", "output", "quarantine")),
    }


def resources(operator: CloudOperator) -> list[dict[str, Any]]:
    """The resources of the state."""
    (file,) = (operator.data / "state").glob(".pulumi/stacks/*/lab.json")
    state = json.loads(file.read_text())["checkpoint"]["latest"]
    return [resource for resource in state["resources"] if not resource.get("delete")]


def provider_ids(operator: CloudOperator) -> dict[str, str]:
    """Type and name -> id of the resources that are not components."""
    return {
        "::".join([each["type"], each["urn"].rpartition("::")[2]]): each["id"]
        for each in resources(operator)
        if each["custom"]
    }


def created(operator: CloudOperator) -> dict[str, str]:
    """Bucket -> when it was made."""
    listed = s3(operator.checkout).list_buckets()["Buckets"]
    return {each["Name"]: str(each["CreationDate"]) for each in listed}


def rows(operator: CloudOperator, *words: str) -> list[dict[str, Any]]:
    """What the worker on the machine says of jobs."""
    answer = machine(operator).run_worker([*words, "--last", "999", "--json"])
    return [json.loads(line) for line in answer.stdout.splitlines()]


def done(operator: CloudOperator) -> list[str]:
    return [row["key"] for row in rows(operator, "jobs", "list", "--state", "done")]


def rewrite(operator: CloudOperator, refusal: str) -> None:
    """Do what a refusal of flat settings says."""
    sentence = refusal.splitlines()[-1].partition("pipeline: ")[2]
    names, _, remedy = sentence.partition(": keys of a pipeline now. Remove")
    content = yaml.safe_load(operator.settings_file("lab").read_text())["config"]
    for name in names.split(", "):
        assert f"image-pipeline:{name}" in content
        operator.change("lab", **{name: None})
    for key, value in yaml.safe_load(remedy.split("`")[1]).items():
        operator.change("lab", **{key.rpartition(":")[2]: value})


def test_refresh_reads_the_old_state(operator: CloudOperator) -> None:
    before = {each["urn"] for each in resources(operator)}
    operator.checkout.pipeline("refresh", *STACK)
    assert {each["urn"] for each in resources(operator)} == before


def test_flat_settings_are_refused_until_they_are_rewritten(operator: CloudOperator) -> None:
    before = ids(operator), provider_ids(operator)
    refusal = operator.checkout.pipeline("up", *STACK, code=1).stderr.strip()
    assert "inputBucket, outputBucket: keys of a pipeline now. Remove them and write" in refusal
    assert (ids(operator), provider_ids(operator)) == before
    rewrite(operator, refusal)


def test_update_replaces_the_machine_and_nothing_else(operator: CloudOperator) -> None:
    before, made, known = ids(operator), provider_ids(operator), created(operator)
    steps = operator.checkout.pipeline("up", *STACK).stderr.splitlines()
    after, now = ids(operator), provider_ids(operator)
    assert after.pop("machine") != before.pop("machine")
    assert after == before
    assert set(now) == set(made)
    changed = {name.rpartition("::")[2] for name in made if made[name] != now[name]}
    assert changed <= REPLACED
    assert created(operator) == known
    removed = [line for line in steps if "deleted" in line or "created" in line]
    assert any("Instance vm" in line for line in removed)
    data = ("Container", "BucketContents", "BucketClaim", "Trove")
    assert not [line for line in removed if any(kind in line for kind in data)]
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_waiting_uploads_are_processed(operator: CloudOperator) -> None:
    eventually(lambda: sorted(done(operator)) == sorted(DONE + WAITING), seconds=120)
    store, values = s3(operator.checkout), outputs(operator.checkout)
    eventually(lambda: not store.list_objects_v2(Bucket=values["inputBucket"]).get("Contents"))
    for key in WAITING:
        folder, _, name = key.rpartition("/")
        store.get_object(Bucket=values["outputBucket"], Key=f"{folder}/negated_{name}")


def test_old_rows_are_of_negatives(operator: CloudOperator) -> None:
    for words, key in (
        (["log"], "input_key"),
        (["jobs", "list"], "key"),
        (["jobs", "list", "--pipeline", "negatives"], "key"),
    ):
        found = [row for row in rows(operator, *words) if row[key] in DONE]
        assert sorted(row[key] for row in found) == DONE
        assert {row["pipeline"] for row in found} == {"negatives"}
        assert len({row["id"] for row in found}) == len(DONE)
    assert operator.checkout.json("outputs", *STACK)["pipelines"].keys() == {"negatives"}


def test_data_of_the_old_version_are_kept(operator: CloudOperator) -> None:
    store, values = s3(operator.checkout), outputs(operator.checkout)
    assert store.get_object(Bucket=values["outputBucket"], Key=KEY)["Body"].read() == BODY
    for key in DONE:
        negative = f"album/negated_{key.rpartition('/')[2]}"
        body = store.get_object(Bucket=values["outputBucket"], Key=negative)["Body"]
        assert body.read(2) == b"\xff\xd8"


def test_new_version_works_on_what_is_uploaded_now(operator: CloudOperator) -> None:
    store, values = s3(operator.checkout), outputs(operator.checkout)
    photo = (operator.checkout.folder / "samples" / "cat.jpg").read_bytes()
    store.put_object(Bucket=values["inputBucket"], Key="later.jpg", Body=photo)
    eventually(lambda: "later.jpg" in done(operator))
    store.get_object(Bucket=values["outputBucket"], Key="negated_later.jpg")


def test_destroy_leaves_nothing(operator: CloudOperator) -> None:
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    cloud = operator.openstack()
    assert list(cloud.compute.servers()) == list(cloud.network.ips()) == []
    assert cloud.database.get("/instances").json()["instances"] == []
