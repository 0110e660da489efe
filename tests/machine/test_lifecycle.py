"""A machine after its first boot; on one Debian, as nothing here depends on versions."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

import pytest
import yaml

from local import object_store, postgres, processes
from local.api.state import DATABASES, STORE
from tests.machine.guest import TIMER, WORKER, Guest, eventually

pytestmark = pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
STATE = "/var/lib/private/pipeline/negatives"
STAMP = "/opt/pipeline/venv/.installed"
# How systemd notes that a unit has ended (sd-messages.h).
SUCCEEDED, FAILED = "7ad2d189f7e94e70a38c781354912448", "d9b373ed55a64feb8242e02dbe79a49c"
FOUR = ("cat.jpg", "coffee.png", "galaxies.jpg", "rocket.jpg")


def moments(guest: Guest, since: str) -> list[tuple[str, float]]:
    """Return when passes began and ended, and how, from systemd's journal."""
    lines = guest.shell(
        f"journalctl --sync; journalctl --no-pager --since=@{since} -o json _PID=1 UNIT={WORKER}"
    ).splitlines()
    found = []
    for entry in map(json.loads, lines):
        is_start = entry.get("JOB_TYPE") == "start" and "JOB_RESULT" in entry
        kind = "start" if is_start else entry.get("MESSAGE_ID")
        if kind in ("start", SUCCEEDED, FAILED):
            # When systemd sent the entry: journald may receive it later.
            at = entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]
            found.append((kind, int(at) / 1e6))
    return found


def test_timer_can_be_restarted_often(guest: Guest) -> None:
    guest.shell(f"for each in $(seq 8); do systemctl restart {TIMER} || exit 1; done")


def test_timer_starts_a_pass_a_second_after_the_last(guest: Guest) -> None:
    worker = guest.shell(f"systemctl show -P ExecStart {WORKER}")
    assert "-m worker drain --pipeline negatives --linger 60" in worker
    guest.pause()
    # Without --linger there are several passes soon.
    drain = "/opt/pipeline/venv/bin/python -m worker drain --pipeline negatives"
    guest.override("ExecStart=", f"ExecStart={drain}")
    # To the microsecond, so that passes of earlier tests are left out.
    since = guest.shell("journalctl --sync; date +%s.%6N")
    guest.shell(f"systemctl start {TIMER}")
    try:
        eventually(lambda: len(moments(guest, since)) >= 12, what="six passes")
        seen = moments(guest, since)
    finally:
        guest.resume()
    gaps = [
        begun - ended
        for (before, ended), (after, begun) in pairwise(seen)
        if (before, after) == (SUCCEEDED, "start")
    ]
    assert len(gaps) >= 5
    # A second after the last pass's end, and what a start takes; systemd's default accuracy would
    # allow it a minute.
    assert guest.shell(f"systemctl show -P AccuracyUSec {TIMER}").strip() == "100ms"
    assert min(gaps) >= 0.9
    assert median(gaps) <= 20


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
    guest.shell(
        f"mount -t tmpfs -o size=1m tmpfs {STATE}; head -c 2M /dev/zero > {STATE}/filler || true"
    )
    guest.resume()
    try:
        yield
    finally:
        guest.pause()
        guest.shell(f"umount {STATE}")
        guest.resume()


def test_failed_pass_is_shown_and_retried(guest: Guest) -> None:
    before = len(guest.rows())
    with stopped_database(guest):
        guest.put("galaxies.jpg")
        eventually(lambda: "atabase" in status_text(guest), what="status shows it")
        eventually(lambda: failed_twice(guest), what="the timer retries")
    eventually(lambda: len(guest.rows()) > before, what="the photo is done")
    eventually(guest.is_working, what="no pass fails any more")


def test_an_upload_waits_for_space_on_the_disk(guest: Guest) -> None:
    before = len(guest.rows())
    with full_disk(guest):
        guest.put("galaxies.jpg")
        remedy = "free space on the machine"
        eventually(lambda: remedy in status_text(guest), what="status shows it")
    eventually(lambda: len(guest.rows()) > before, what="the photo is done")
    assert guest.rows()[-1]["outcome"] == "done"


def test_restarted_store_is_used_again(guest: Guest) -> None:
    """The buckets of moto end with it; `refresh` and `up` recreate them at the same address."""
    machine = guest.machine.folder
    processes.end(guest.cloud.folder / STORE, first=signal.SIGKILL)
    eventually(lambda: "check that the endpoint" in status_text(guest), what="status shows it")
    eventually(lambda: failed_twice(guest), what="the timer retries")
    assert not processes.is_running(guest.cloud.folder / STORE, object_store.NAME)
    guest.checkout.pipeline("refresh")
    guest.checkout.pipeline("up")
    assert guest.machine.folder == machine
    (row,) = guest.negate("galaxies.jpg")
    assert row["outcome"] == "done"
    eventually(guest.is_working, what="no pass fails any more")


def failed_twice(guest: Guest) -> bool:
    """Whether the last two passes failed."""
    ends = [kind for kind, _ in moments(guest, "0") if kind != "start"]
    return ends[-2:] == [FAILED, FAILED]


def status_text(guest: Guest) -> str:
    answer = guest.checkout.pipeline("status", code=None)
    return " ".join((answer.stdout + answer.stderr).split())


@pytest.mark.parametrize("whom", ["main", "all"])
def test_killed_worker_loses_nothing(guest: Guest, whom: str) -> None:
    guest.pause()
    before = len(guest.rows())
    guest.put(*FOUR)
    guest.shell(f"systemctl start --no-block {WORKER}")
    # systemd 252 knows only --kill-who, which 257 still accepts.
    guest.shell(
        f'for each in $(seq 3000); do [ -n "$(ls {STATE}/work 2>/dev/null)" ] && break; '
        f"sleep 0.02; done; systemctl kill --signal=KILL --kill-who={whom} {WORKER}"
    )
    eventually(lambda: guest.shell(f"systemctl show -P ActiveState {WORKER}") == "failed")
    guest.resume()
    eventually(lambda: len(guest.rows()) == before + 4, what="rows of all four")
    assert sorted(guest.done_keys()[-4:]) == sorted(FOUR)
    eventually(guest.is_idle, what="all is done")


def test_out_of_memory_fails_a_file_and_not_the_pipeline(guest: Guest) -> None:
    if "memory" not in guest.shell("cat /sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("this kernel's unified control groups have no memory controller")
    guest.pause()
    before = len(guest.rows())
    guest.override("MemoryMax=90M")
    guest.put(*FOUR)
    guest.shell(f"systemctl start {TIMER}")
    eventually(lambda: "oom" in guest.shell(f"journalctl --no-pager -u {WORKER}").lower())
    guest.resume()
    eventually(lambda: len(guest.rows()) == before + 4, what="rows of all four")


def test_wrong_clock_of_the_worker_does_no_harm(guest: Guest) -> None:
    """Two hours ahead: the local store accepts such signatures, and rows have the right time."""
    library = guest.shell("ls /usr/lib/*/faketime/libfaketime.so.1")
    guest.pause()
    # Only the wall clock is wrong: a sleep of a second must not take two hours.
    only = "FAKETIME_DONT_FAKE_MONOTONIC=1 DONT_FAKE_MONOTONIC=1"
    guest.override(f"Environment=LD_PRELOAD={library} FAKETIME=+2h {only}")
    guest.shell(f"systemctl start {TIMER}")
    try:
        (row,) = guest.negate("cat.jpg")
        last = f"journalctl --no-pager -o cat -u {WORKER} | grep done | tail -n 1"
        eventually(
            lambda: logged(guest.shell(last)) - datetime.now(UTC) > timedelta(hours=1),
            what="a pass logs with the wrong clock",
        )
    finally:
        guest.resume()
    now = datetime.now(UTC)
    assert abs(datetime.fromisoformat(row["timestamp"]) - now) < timedelta(minutes=5)


def logged(entry: str) -> datetime:
    """Return the time of a line of the worker's log."""
    return datetime.fromisoformat(json.loads(entry)["time"])


def test_reboot_does_not_install_again(guest: Guest) -> None:
    boot, stamp = guest.machine.boot_id(), guest.shell(f"stat -c %Y.%i {STAMP}")
    guest.shell("systemctl reboot", code=None)
    eventually(lambda: rebooted(guest, boot), what="another boot")
    eventually(guest.is_working, what="it works again")
    rows = guest.negate("rocket.jpg")
    assert [row["input_key"] for row in rows] == ["rocket.jpg"]
    assert guest.shell(f"stat -c %Y.%i {STAMP}") == stamp
    journal = guest.shell("journalctl --no-pager -b -o cat -u pipeline-install")
    assert "The worker's packages are installed." in journal
    assert "Installing" not in journal


def rebooted(guest: Guest, before: str) -> bool:
    try:
        return guest.machine.boot_id() != before
    except (ProcessLookupError, ValueError):
        return False


def test_replacement_during_a_pass_loses_nothing(guest: Guest) -> None:
    before, old = len(guest.rows()), guest.machine.folder
    file = guest.checkout.folder / "Pulumi.local.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["config"]["image-pipeline:timerInterval"] = "2s"
    file.write_text(yaml.safe_dump(settings))
    guest.put(*FOUR)
    guest.put(*FOUR)  # again: each is a new upload
    guest.checkout.pipeline("up")
    assert guest.machine.folder != old
    assert not old.exists()
    eventually(guest.is_working, 300, "the new machine")
    eventually(guest.is_idle, what="all is done")
    assert sorted(guest.done_keys()[before:]) == sorted([*FOUR, *FOUR])
