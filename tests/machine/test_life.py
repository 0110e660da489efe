"""The life of a machine after its first boot. One suite: nothing here depends on versions."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

import pytest
import yaml

from local import object_store, postgres, processes
from local.api.state import DATABASES, STORE
from tests.machine.guest import WORKER, Guest, eventually

pytestmark = pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
STATE = "/var/lib/private/pipeline"
STAMP = "/opt/pipeline/venv/.installed"
FOUR = ("cat.jpg", "coffee.png", "galaxies.jpg", "rocket.jpg")


def moments(guest: Guest, since: str) -> list[tuple[str, float]]:
    """When passes began and ended, by systemd's word and clock."""
    lines = guest.root(
        f"journalctl --sync; journalctl --no-pager --since=@{since} -o json _PID=1 UNIT={WORKER}"
    ).splitlines()
    said = [json.loads(line) for line in lines]
    return [
        (entry["JOB_TYPE"] + entry.get("JOB_RESULT", ""), int(entry["__MONOTONIC_TIMESTAMP"]) / 1e6)
        for entry in said
        if entry.get("JOB_TYPE") == "start"
    ]


def test_the_timer_keeps_its_cadence(guest: Guest) -> None:
    worker = guest.root(f"systemctl show -P ExecStart {WORKER}")
    assert "-m worker drain --linger 60" in worker
    guest.pause()
    # Passes that do not linger, so that there are several soon.
    guest.override("ExecStart=", "ExecStart=/opt/pipeline/venv/bin/python -m worker drain")
    # To the microsecond: a probe of the tests before, and the timer that it started anew, stay out.
    since = guest.root("journalctl --sync; date +%s.%6N")
    guest.root("systemctl start pipeline-worker.timer")
    try:
        eventually(lambda: len(moments(guest, since)) >= 14, what="six passes")
        seen = moments(guest, since)
    finally:
        guest.resume()
    gaps = [
        begun - ended
        for (before, ended), (after, begun) in pairwise(seen)
        if (before, after) == ("startdone", "start")
    ]
    assert len(gaps) >= 5
    # One second after the last pass's end, by AccuracySec=100ms and what a start takes.
    assert min(gaps) >= 0.9
    assert median(gaps) <= 2.5


@contextmanager
def stopped_database(guest: Guest) -> Iterator[None]:
    (folder,) = (guest.cloud.folder / DATABASES).iterdir()
    processes.end(folder, first=signal.SIGINT)
    try:
        yield
    finally:
        postgres.start(folder)


@contextmanager
def full_disk(guest: Guest) -> Iterator[None]:
    guest.pause()
    guest.root(
        f"mount -t tmpfs -o size=64k tmpfs {STATE}; head -c 1M /dev/zero > {STATE}/filler || true"
    )
    guest.resume()
    try:
        yield
    finally:
        guest.pause()
        guest.root(f"umount {STATE}")
        guest.resume()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (stopped_database, "atabase"),
        (full_disk, "space"),
    ],
)
def test_a_failing_pass_is_told_and_retried(
    guest: Guest, trouble: Callable[[Guest], AbstractContextManager[None]], words: str
) -> None:
    before = len(guest.rows())
    with trouble(guest):
        guest.put("galaxies.jpg")
        eventually(lambda: words in told(guest), what=f"status tells of the {words}")
        eventually(lambda: failed_twice(guest), what="the next tick tries again")
    eventually(lambda: len(guest.rows()) > before, what="the photo is done after all")
    eventually(lambda: guest.status()["machines"][0]["obstacle"] is None)


def test_a_store_that_stops_is_told_and_met_again(guest: Guest) -> None:
    """moto's buckets end with it; `refresh` and `up` make them, on the same port, for the machine
    that stands."""
    machine = guest.machine.folder
    processes.end(guest.cloud.folder / STORE, first=signal.SIGKILL)
    eventually(lambda: "is the endpoint right and up?" in told(guest), what="status tells of it")
    eventually(lambda: failed_twice(guest), what="the next tick tries again")
    assert not processes.is_running(guest.cloud.folder / STORE, object_store.NAME)
    guest.checkout.pipeline("refresh")
    guest.checkout.pipeline("up")
    assert guest.machine.folder == machine
    (row,) = guest.negate("galaxies.jpg")
    assert row["outcome"] == "done"
    eventually(lambda: guest.status()["machines"][0]["obstacle"] is None)


def failed_twice(guest: Guest) -> bool:
    """Whether the last two passes failed, each on a tick of its own."""
    lines = guest.root(f"journalctl --no-pager -o json _PID=1 UNIT={WORKER} -n 8").splitlines()
    results = [json.loads(line).get("JOB_RESULT") for line in lines]
    return [each for each in results if each][-2:] == ["failed", "failed"]


def told(guest: Guest) -> str:
    answer = guest.checkout.pipeline("status", code=None)
    return " ".join((answer.stdout + answer.stderr).split())


@pytest.mark.parametrize("whom", ["main", "all"])
def test_a_killed_worker_loses_nothing(guest: Guest, whom: str) -> None:
    guest.pause()
    before = len(guest.rows())
    guest.put(*FOUR)
    guest.root(f"systemctl start --no-block {WORKER}")
    # systemd 252 says --kill-who, and 257 takes it too.
    guest.root(
        f'for each in $(seq 3000); do [ -n "$(ls {STATE}/work 2>/dev/null)" ] && break; '
        f"sleep 0.02; done; systemctl kill --signal=KILL --kill-who={whom} {WORKER}"
    )
    eventually(lambda: guest.root(f"systemctl show -P ActiveState {WORKER}") == "failed")
    guest.resume()
    eventually(lambda: len(guest.rows()) == before + 4, what="all four")
    assert sorted(guest.done()[-4:]) == sorted(FOUR)
    assert guest.status()["backlog"]["count"] == 0


def test_out_of_memory_takes_a_file_down_not_the_pipeline(guest: Guest) -> None:
    if "memory" not in guest.root("cat /sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("this kernel's unified control groups have no memory controller")
    guest.pause()
    before = len(guest.rows())
    guest.override("MemoryMax=90M")
    guest.put(*FOUR)
    guest.root("systemctl start pipeline-worker.timer")
    eventually(lambda: "oom" in guest.root(f"journalctl --no-pager -u {WORKER}").lower())
    guest.resume()
    eventually(lambda: len(guest.rows()) == before + 4, what="all four")


def test_a_wrong_clock_of_the_worker_does_no_harm(guest: Guest) -> None:
    """Two hours ahead; the store of the local cloud takes such signatures, and rows are true."""
    library = guest.root("ls /usr/lib/*/faketime/libfaketime.so.1")
    guest.pause()
    # The wall clock alone, as a wrong clock is: who waits a second shall not wait two hours.
    only = "FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1"
    guest.override(f"Environment=LD_PRELOAD={library} FAKETIME=+2h {only}")
    guest.root("systemctl start pipeline-worker.timer")
    try:
        (row,) = guest.negate("cat.jpg")
        said = guest.root(f"journalctl --no-pager -o cat -u {WORKER} | grep done | tail -n 1")
    finally:
        guest.resume()
    ahead = datetime.fromisoformat(json.loads(said)["time"])
    now = datetime.now(UTC)
    assert ahead - now > timedelta(hours=1)  # the clock was wrong
    assert abs(datetime.fromisoformat(row["timestamp"]) - now) < timedelta(minutes=5)


def test_reboot_installs_nothing_twice(guest: Guest) -> None:
    boot, stamp = guest.machine.boot_id(), guest.root(f"stat -c %Y.%i {STAMP}")
    guest.root("systemctl reboot", code=None)
    eventually(lambda: rebooted(guest, boot), what="another boot")
    eventually(guest.working, what="it answers again")
    rows = guest.negate("rocket.jpg")
    assert [row["input_key"] for row in rows] == ["rocket.jpg"]
    assert guest.root(f"stat -c %Y.%i {STAMP}") == stamp
    said = guest.root("journalctl --no-pager -b -o cat -u pipeline-install")
    assert "The worker's packages are installed." in said
    assert "Installing" not in said


def rebooted(guest: Guest, before: str) -> bool:
    try:
        return guest.machine.boot_id() != before
    except (ProcessLookupError, ValueError):
        return False


def test_replacement_while_objects_are_in_work_loses_nothing(guest: Guest) -> None:
    before, old = len(guest.rows()), guest.machine.folder
    file = guest.checkout.folder / "Pulumi.local.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["config"]["image-pipeline:timerInterval"] = "2s"
    file.write_text(yaml.safe_dump(settings))
    guest.put(*FOUR)
    guest.put(*FOUR)  # again, so each is a new upload
    guest.checkout.pipeline("up")
    assert guest.machine.folder != old
    assert not old.exists()
    eventually(guest.working, 300, "the new machine")
    eventually(lambda: guest.status().get("backlog", {}).get("count") == 0, what="all is done")
    assert sorted(guest.done()[before:]) == sorted([*FOUR, *FOUR])
