"""What fails on the machine is told from outside: unit, step, last words; and help gets in."""

import subprocess
from dataclasses import dataclass

import pytest

from tests.machine.guest import Guest, eventually

pytestmark = pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
LOCK = "/opt/pipeline/source/worker/requirements.txt"
SETTINGS = "/etc/pipeline/worker.toml"
PASSWORD = "/etc/pipeline/credentials/database-admin-password"
NOTHING = "0" * 64


@dataclass(frozen=True)
class Failure:
    """A file that is changed for the worse, the unit that then fails, and its words."""

    path: str
    spoil: str
    unit: str
    words: str


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
def test_status_tells_unit_and_words(guest: Guest, name: str) -> None:
    failure = FAILURES[name]
    guest.root(f"cp -a {failure.path} /root/whole; {failure.spoil}")
    try:
        guest.root(f"systemctl restart --no-block {failure.unit}")
        eventually(
            lambda: failure.words in told(guest, failure.unit), 180, f"{failure.words} is told"
        )
    finally:
        guest.root(
            f"cp -a /root/whole {failure.path}; rm /root/whole; "
            f"systemctl restart --no-block {failure.unit}"
        )
    eventually(lambda: guest.working() and not told(guest, failure.unit), 180, "all is well again")


def told(guest: Guest, unit: str) -> str:
    """What `status` says once it says that the unit failed."""
    answer = guest.checkout.pipeline("status", code=None)
    text = " ".join((answer.stdout + answer.stderr).split())
    return text if f"{unit}: failed" in text else ""


def test_ssh_opens_a_shell_there(guest: Guest) -> None:
    answer = subprocess.run(
        guest.checkout.command("ssh"),
        cwd=guest.checkout.folder,
        env=guest.checkout.environment,
        input="hostname; sudo -n id -un\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.stdout.split()[-2:] == [guest.machine.name, "root"], answer.stderr


def test_without_a_network_the_console_tells(guest: Guest) -> None:
    device = guest.root("ip -o route show default | sed 's/.* dev \\([^ ]*\\) .*/\\1/'")
    guest.root(f"ip link set {device} down")
    try:
        answer = guest.checkout.pipeline("status", code=1)
    finally:
        guest.root(f"networkctl reload; ip link set {device} up; networkctl reconfigure {device}")
    assert "cannot be reached over ssh" in answer.stderr
    assert f"{guest.machine.name}: [" in answer.stderr  # lines of the console log
    eventually(guest.working, what="it is reached again")
