"""`demo --stack`: a stack is tried on its cloud, reported, and destroyed."""

import os
import re

import pytest

from local.api.state import DATABASES
from local.machine.process.machine import ProcessMachine
from tests.checkout import output_to_end, output_until
from tests.engine.cloud_operator import CloudOperator
from tests.engine.ssh_server import ssh_server
from tests.eventually import eventually

DEMO = ("demo", "--stack", "lab")
STEPS = (
    *("Settings, clouds, quotas", "up", "preview", "Object store", "Machines", "Photos"),
    *("Results", "Database", "A file that is not a photo", "Status", "destroy"),
)


def report(text: str) -> dict[str, str]:
    """Return the report's table: the result of each step."""
    rows = re.findall(r"^\| ([^|]+) \| (.+) \| \d+ \|$", text, re.MULTILINE)
    return dict(rows)


@pytest.mark.usefixtures("as_it_was")
def test_demo_runs_all_steps_and_destroys(operator: CloudOperator) -> None:
    path = os.pathsep.join(
        [str(operator.base / "client-bin"), operator.checkout.environment["PATH"]]
    )
    operator.checkout.environment["PATH"] = path
    key = operator.base / "home" / ".ssh" / "id_ed25519.pub"
    demo = operator.checkout.start(*DEMO)
    printed = output_until(demo, r"created +Instance\b")
    [machine] = eventually(operator.cloud.machines)
    assert isinstance(machine, ProcessMachine)
    [ip] = operator.openstack().network.ips()
    with ssh_server(machine, ip.floating_ip_address, key, operator.base):
        printed += output_to_end(demo)
    assert demo.returncode == 0, printed
    results = report(printed)
    assert tuple(results) == STEPS, printed
    assert results["Photos"].startswith("3 processed")
    assert results["Results"] == "3 are the negatives of their photos"
    assert results["A file that is not a photo"].startswith("quarantined: ")
    assert "NOT SAFE" in results["Object store"]  # the local cloud's accepts any key
    assert results["destroy"] == "nothing is left, no strays"
    assert operator.cloud.machines() == []
    assert list(operator.openstack().network.ips()) == []
    assert ip.floating_ip_address not in printed.split("## Demo")[1]


@pytest.mark.usefixtures("as_it_was")
def test_failed_step_is_reported(operator: CloudOperator) -> None:
    operator.change("lab", flavor="none.such")
    answer = operator.checkout.pipeline(*DEMO, code=1)
    results = report(answer.stdout)
    assert list(results) == ["Settings, clouds, quotas"]
    assert results["Settings, clouds, quotas"].startswith("FAILED: ")
    assert "none.such" in answer.stderr.splitlines()[-1]


def test_failed_deployment_is_reported_and_destroyed(operator: CloudOperator) -> None:
    """The cloud has no space for the database's data."""
    in_the_way = operator.cloud.folder / DATABASES
    kept = in_the_way.rename(in_the_way.with_name("kept"))
    in_the_way.touch()
    answer = operator.checkout.pipeline(*DEMO, code=1)
    in_the_way.unlink()
    kept.rename(in_the_way)
    results = report(answer.stdout)
    assert list(results) == ["Settings, clouds, quotas", "up", "destroy"]
    assert "is in status ERROR" in results["up"]
    assert results["destroy"] == "nothing is left, no strays"
    assert list(operator.openstack().network.ips()) == []


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("setting", ["database", "objectStore"])
def test_existing_database_or_store_is_refused(setting: str, operator: CloudOperator) -> None:
    operator.change("lab", **{setting: "existing"})
    answer = operator.checkout.pipeline(*DEMO, code=1)
    assert f"({setting}: existing)" in answer.stderr
    assert answer.stdout == ""


@pytest.mark.usefixtures("as_it_was")
def test_adopted_buckets_are_refused(operator: CloudOperator) -> None:
    operator.change("lab", adoptBuckets=["mine"])
    answer = operator.checkout.pipeline(*DEMO, code=1)
    assert answer.stderr.startswith("pipeline: Stack 'lab' adopts buckets")
    assert answer.stdout == ""
