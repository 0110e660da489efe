"""A stack that an older version deployed is refreshed, updated and destroyed by this one."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.machine.process.machine import ProcessMachine
from tests.checkout import PROJECT, Checkout, open_folder
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.eventually import eventually

pytestmark = pytest.mark.long  # tests/unit/test_old_states.py stays in the quick loop
STACK = ("--stack", "lab")
#: The version before the packages of infra/ and worker/ were made: its states name old modules.
OLD = "29b343184e94d455abdc74f28740440d855312b3"
KEY, BODY = "kept.bin", b"made by the old version"


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
    """An operator whose stack `lab` was deployed by the old version and has transformed a photo."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        before = replace(made.checkout, folder=old)
        before.pipeline("init", "lab", *LOCALLY)
        before.pipeline("up", *STACK)
        before.pipeline("put", "samples/cat.jpg", *STACK)
        for command in (["migrate"], ["drain"]):
            run_old_worker(made, old, command)
        s3(before).put_object(Bucket=outputs(before)["outputBucket"], Key=KEY, Body=BODY)
        settings = (old / "Pulumi.lab.yaml").read_text()
        made.settings_file("lab").write_text(settings)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


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


def urns(operator: CloudOperator) -> set[str]:
    """The resources of the state."""
    (file,) = (operator.data / "state").glob(".pulumi/stacks/*/lab.json")
    state = json.loads(file.read_text())["checkpoint"]["latest"]
    return {resource["urn"] for resource in state["resources"] if not resource.get("delete")}


def rows(operator: CloudOperator, like: str) -> str:
    """The ledger's row of an upload, read on the machine."""
    return str(machine(operator).run_worker(["log", "--like", like, "--json"]).stdout)


def test_refresh_reads_the_old_state(operator: CloudOperator) -> None:
    before = urns(operator)
    operator.checkout.pipeline("refresh", *STACK)
    assert urns(operator) == before


def test_update_replaces_the_machine_and_nothing_else(operator: CloudOperator) -> None:
    resources, before = urns(operator), ids(operator)
    operator.checkout.pipeline("up", *STACK)
    after = ids(operator)
    assert after.pop("machine") != before.pop("machine")
    assert after == before
    assert urns(operator) == resources
    assert "No change." in operator.checkout.pipeline("preview", *STACK).stdout


def test_data_of_the_old_version_are_kept(operator: CloudOperator) -> None:
    store, values = s3(operator.checkout), outputs(operator.checkout)
    assert store.get_object(Bucket=values["outputBucket"], Key=KEY)["Body"].read() == BODY
    negative = store.get_object(Bucket=values["outputBucket"], Key="negated_cat.jpg")
    assert negative["Body"].read(2) == b"\xff\xd8"
    eventually(lambda: "negated_cat.jpg" in rows(operator, "cat"))


def test_new_version_works_on_what_is_uploaded_now(operator: CloudOperator) -> None:
    store, values = s3(operator.checkout), outputs(operator.checkout)
    photo = (operator.checkout.folder / "samples" / "cat.jpg").read_bytes()
    store.put_object(Bucket=values["inputBucket"], Key="later.jpg", Body=photo)
    eventually(lambda: "negated_later.jpg" in rows(operator, "later"))
    store.get_object(Bucket=values["outputBucket"], Key="negated_later.jpg")


def test_destroy_leaves_nothing(operator: CloudOperator) -> None:
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    cloud = operator.openstack()
    assert list(cloud.compute.servers()) == list(cloud.network.ips()) == []
    assert cloud.database.get("/instances").json()["instances"] == []
