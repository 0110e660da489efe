"""A lingering pass: new uploads are processed at once, by the same process."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.eventually import eventually, patience
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline
from tests.worker.slow import busy, slow_photo, transforming

PHOTO = encode(picture(), "PNG")
LONG = "600"  # longer than any test: a pass that ends was ended by something else


@contextmanager
def lingering(pipeline: Pipeline, seconds: str = LONG) -> Iterator[subprocess.Popen[str]]:
    """A pass that has begun, and keeps listing."""
    with (pipeline.folder / "pass.log").open("w") as log:
        process = pipeline.popen("drain", "--linger", seconds, stdout=log)
    try:
        eventually(lambda: heartbeat(pipeline) or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.communicate()


def heartbeat(pipeline: Pipeline) -> object:
    """Return the time and the problem of the last heartbeat, None without one."""
    rows = pipeline.sql("SELECT last_pass, obstacle FROM pipeline.heartbeats")
    return tuple(rows[0].values()) if rows else None


def done(pipeline: Pipeline) -> list[str]:
    return [row["key"] for row in pipeline.rows()]


def test_new_uploads_are_processed_while_it_lingers(pipeline: Pipeline) -> None:
    pipeline.put("first.png", PHOTO)
    with lingering(pipeline) as process:
        eventually(lambda: done(pipeline) == ["first.png"])
        for number in range(3):
            photo = encode(picture(number), "PNG")
            pipeline.put(f"{number}.png", photo)
            eventually(lambda: len(done(pipeline)) == 2 + number)  # noqa: B023  called at once
            assert error(decode(pipeline.get(f"negated_{number}.png")), negated(photo)) == 0
        eventually(lambda: not pipeline.left())
        assert process.poll() is None


def test_the_heartbeat_continues(versioned: Pipeline) -> None:
    with lingering(versioned) as process:
        before = heartbeat(versioned)
        eventually(lambda: heartbeat(versioned) != before)
        assert process.poll() is None


def test_it_reports_to_the_watchdog_of_its_unit(versioned: Pipeline, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60 * patience())
        versioned.environment = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "60000000",
        }
        with lingering(versioned) as process:
            assert [systemd.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
            process.send_signal(signal.SIGSTOP)
            systemd.settimeout(6)
            with pytest.raises(TimeoutError):
                while True:
                    systemd.recv(100)


def test_a_second_pass_is_refused(versioned: Pipeline) -> None:
    with lingering(versioned):
        assert "Another pass is running" in versioned.drain(1).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_failure(versioned: Pipeline, number: int) -> None:
    with lingering(versioned) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=60 * patience())
        assert (process.returncode, err) == (0, "")
    assert heartbeat(versioned)[1] is None  # type: ignore[index]


def test_a_signal_in_a_job_is_no_error(versioned: Pipeline) -> None:
    """It is how a machine reboots, and how it leaves the stack."""
    versioned.put("slow.webp", slow_photo())
    with lingering(versioned) as process:
        (child,) = eventually(lambda: transforming(versioned, process.pid, "slow.webp"))
        child.suspend()  # it does not end before the signal
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60 * patience())
        assert (process.returncode, err) == (1, "The pass was stopped by a signal.\n")
    assert versioned.left() == ["slow.webp"]
    status = json.loads(versioned.run("status", "--json").stdout)
    assert (status["machines"][0]["problems"], status["last_error"]) == ([], None)


def test_it_ends_after_its_time(versioned: Pipeline) -> None:
    start = time.monotonic()
    with lingering(versioned, "3") as process:
        _, err = process.communicate(timeout=60 * patience())
        assert (process.returncode, err) == (0, "")
    assert time.monotonic() - start >= 3


#: Notes each problem that a heartbeat names, also one that the next heartbeat does not.
NOTE_PROBLEMS = """
CREATE TABLE public.problems (problem text);
CREATE FUNCTION public.note() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS
    'BEGIN INSERT INTO public.problems VALUES (NEW.obstacle); RETURN NEW; END';
CREATE TRIGGER note AFTER INSERT OR UPDATE ON pipeline.heartbeats
    FOR EACH ROW EXECUTE FUNCTION public.note();
"""


def test_a_failed_upload_is_retried_and_does_not_delay_others(versioned: Pipeline) -> None:
    """The heartbeat names its problem while it lasts."""
    versioned.sql(NOTE_PROBLEMS)
    versioned.configure(limits={"cpu_seconds": 1})
    versioned.put("slow.webp", slow_photo())
    with lingering(versioned) as process:
        named = "SELECT 1 FROM public.problems WHERE problem LIKE '%crashed its transform (%'"
        eventually(lambda: versioned.sql(named))
        versioned.put("quick.png", PHOTO)
        eventually(lambda: len(done(versioned)) == 2)
        eventually(lambda: heartbeat(versioned)[1] is None)  # type: ignore[index]
        assert process.poll() is None
    outcomes = {row["key"]: row["outcome"] for row in versioned.rows()}
    assert outcomes == {"quick.png": "done", "slow.webp": "quarantined"}
    assert versioned.left() == []
    assert versioned.sql("SELECT * FROM pipeline.attempts") == []


def test_new_uploads_do_not_wait_for_a_slow_file(versioned: Pipeline) -> None:
    with lingering(versioned) as process:
        versioned.put("slow.webp", slow_photo())
        (child,) = eventually(lambda: busy(process.pid))
        child.suspend()
        versioned.put("quick.png", PHOTO)
        eventually(lambda: done(versioned) == ["quick.png"])


def test_an_upload_stays_for_a_while_after_its_result(pipeline: Pipeline) -> None:
    """Clients look at what they have just uploaded."""
    pipeline.configure(top={"grace_seconds": 3600})
    with lingering(pipeline) as process:
        pipeline.put("x.png", PHOTO)
        eventually(lambda: done(pipeline) == ["x.png"])
        assert pipeline.s3.head_object(Bucket=pipeline.input, Key="x.png")
        assert pipeline.get("negated_x.png")
        status = json.loads(pipeline.run("status", "--json").stdout)
        assert status["backlog"]["count"] == 0
        assert process.poll() is None
    pipeline.configure()
    pipeline.drain()
    assert (pipeline.left(), done(pipeline)) == ([], ["x.png"])


def test_a_lost_database_is_noticed_while_idle(versioned: Pipeline) -> None:
    with lingering(versioned) as process:
        versioned.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'pipeline-worker' AND datname = current_database()"
        )
        _, err = process.communicate(timeout=60 * patience())
    assert process.returncode == 1
    # After each heartbeat it asks which machines are live.
    assert err.startswith(
        ("The database failed at 'heartbeat'", "The database failed at 'live_machines'")
    )


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "999999"])
def test_bad_linger_values(versioned: Pipeline, text: str) -> None:
    done = versioned.run("drain", f"--linger={text}")
    assert done.returncode == 2
    assert f"{text!r}: give seconds, from 0 to 3600" in done.stderr
