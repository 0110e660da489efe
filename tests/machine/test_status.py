"""`status` shows what failed on the machine, and `ssh` opens a shell."""

import subprocess
from dataclasses import dataclass
from typing import Any

import pytest

from tests.eventually import patience
from tests.machine.guest import Guest, eventually

pytestmark = pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
LOCK = "/opt/pipeline/source/worker/requirements.txt"
SETTINGS = "/etc/pipeline/worker.toml"
PASSWORD = "/etc/pipeline/credentials/database-admin-password"
NOTHING = "0" * 64


@dataclass(frozen=True)
class Failure:
    """How a file is damaged, the unit that then fails, and what it prints."""

    path: str
    damage: str
    unit: str
    message: str


FAILURES = {
    "no worker": Failure(
        SETTINGS,
        f"sed -i 's/^key = .*/key = \"nowhere\"/' {SETTINGS}; rm /opt/pipeline/source/.fetched",
        "pipeline-install",
        "The object store refuses the worker, nowhere in bucket",
    ),
    "wrong hash": Failure(
        LOCK,
        f"sed -i 's/^\\(isal==[^ ]*\\) .*/\\1 --hash=sha256:{NOTHING}/' {LOCK}",
        "pipeline-install",
        "DO NOT MATCH THE HASHES",
    ),
    "no such package": Failure(
        LOCK,
        f"echo 'no-such-package-anywhere==1.0 --hash=sha256:{NOTHING}' >> {LOCK}",
        "pipeline-install",
        "No matching distribution found for no-such-package-anywhere",
    ),
    "database refuses": Failure(
        PASSWORD,
        f"echo wrong > {PASSWORD}",
        "pipeline-migrate",
        "password authentication failed",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_status_shows_the_failed_unit_and_its_message(guest: Guest, name: str) -> None:
    failure = FAILURES[name]
    guest.shell(f"cp -a {failure.path} /root/whole; {failure.damage}")
    try:
        guest.shell(f"systemctl restart --no-block {failure.unit}")
        eventually(
            lambda: failure.message in status_of_failure(guest, failure.unit),
            180,
            f"status shows {failure.message}",
        )
    finally:
        # Until the unit's end `status` may show how it was before the damage.
        guest.shell(
            f"cp -a /root/whole {failure.path}; rm /root/whole; "
            f"systemctl restart {failure.unit} || true",
            seconds=600,
        )
    eventually(
        lambda: guest.is_working() and not status_of_failure(guest, failure.unit),
        180,
        "the machine works again",
    )


def status_of_failure(guest: Guest, unit: str) -> str:
    """What `status` prints once it shows that the unit failed."""
    answer = guest.checkout.pipeline("status", code=None)
    text = " ".join((answer.stdout + answer.stderr).split())
    return text if f"{unit}: failed" in text else ""


def test_status_shows_the_load_of_the_machine(guest: Guest) -> None:
    """Which the worker measures although its unit hides /proc/stat and /proc/meminfo."""

    def load() -> dict[str, Any] | None:
        machines = guest.status().get("machines", [])
        return next((one for one in machines if one["cpu"] is not None), None)

    found = eventually(load, 90, "a pass has measured the machine's CPU use")
    assert found["machine"] == guest.machine.name
    assert 0 <= found["cpu"] <= 1
    assert 0 < found["memory_used"] < found["memory_total"]
    assert found["cores"] == int(guest.shell("nproc --all"))


def test_ssh_opens_a_shell(guest: Guest) -> None:
    answer = subprocess.run(
        guest.checkout.command("ssh"),
        cwd=guest.checkout.folder,
        env=guest.checkout.environment,
        input="hostname; sudo -n id -un\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * patience(),
    )
    assert answer.stdout.split()[-2:] == [guest.machine.name, "root"], answer.stderr


def test_status_shows_the_console_of_an_unreachable_machine(guest: Guest) -> None:
    device = guest.shell("ip -o route show default | sed 's/.* dev \\([^ ]*\\) .*/\\1/'")
    guest.shell(f"ip link set {device} down")
    try:
        answer = guest.checkout.pipeline("status", code=1)
    finally:
        guest.shell(f"networkctl reload; ip link set {device} up; networkctl reconfigure {device}")
    assert "cannot be reached over ssh" in answer.stderr
    assert f"{guest.machine.name}: [" in answer.stderr  # lines of the console log
    eventually(guest.is_working, what="the machine is reached again")
