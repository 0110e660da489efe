"""The state is gone: another stack of the same name adopts the buckets, and the log comes back."""

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from local.machine.process.machine import ProcessMachine
from tests.checkout import open_folder
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.engine.conftest import pulumi
from tests.engine.ssh_server import ssh_server
from tests.eventually import eventually
from tests.worker.jobs import PNG

__all__ = ["pulumi"]
STACK = ("--stack", "lab")


@pytest.fixture
def operator(pulumi: Path) -> Iterator[CloudOperator]:
    """An operator whose stack `lab` is up."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY)
        made.checkout.pipeline("up", *STACK)
        path = [str(made.base / "client-bin"), made.checkout.environment["PATH"]]
        made.checkout.environment["PATH"] = os.pathsep.join(path)
        yield made
        made.checkout.pipeline("destroy", "--data", "--yes", *STACK, code=None)


def machine(operator: CloudOperator) -> AbstractContextManager[Path]:
    """Let the machine be logged in to."""
    [found] = operator.cloud.machines()
    assert isinstance(found, ProcessMachine)
    [ip] = operator.openstack().network.ips()
    key = operator.base / "home" / ".ssh" / "id_ed25519.pub"
    return ssh_server(found, ip.floating_ip_address, key, operator.base)


def states(operator: CloudOperator) -> dict[str, str]:
    return {row["key"]: row["state"] for row in operator.checkout.json("jobs", *STACK)}


def upload(operator: CloudOperator, key: str, body: bytes) -> None:
    bucket = operator.checkout.json("outputs", *STACK)["inputBucket"]
    operator.s3().put_object(Bucket=bucket, Key=key, Body=body)


def test_buckets_are_adopted_and_the_log_is_rebuilt(operator: CloudOperator) -> None:
    checkout = operator.checkout
    upload(operator, "good.png", PNG)
    upload(operator, "bad.png", b"no picture")
    expected = {"good.png": "done", "bad.png": "quarantined"}
    with machine(operator):
        checkout.await_tables(*STACK)
        eventually(lambda: states(operator) == expected)
        before = {row["id"] for row in checkout.json("jobs", *STACK)}
    found = checkout.json("outputs", *STACK)
    buckets = [found[f"{role}Bucket"] for role in ("input", "output", "quarantine")]

    shutil.rmtree(operator.data / "state")
    printed = checkout.pipeline("up", *STACK, code=1).stderr
    assert "strays" in printed
    checkout.pipeline("strays", "--remove", "--yes", *STACK)
    operator.change("lab", adoptBuckets=buckets)
    checkout.pipeline("up", *STACK)
    with machine(operator):
        checkout.await_tables(*STACK)
        eventually(lambda: checkout.json("status", *STACK)["machines"])
        assert states(operator) == {}
        checkout.pipeline("rebuild-log", *STACK)
        assert {row["id"] for row in checkout.json("jobs", *STACK)} == before
        assert states(operator) == expected
        upload(operator, "later.png", PNG)
        eventually(lambda: states(operator) == expected | {"later.png": "done"})
