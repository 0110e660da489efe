"""A pass that lingers: what comes in meanwhile is done at once, by the same process."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.eventually import eventually
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline
from tests.worker.slow import slow_photo

PHOTO = encode(picture(), "PNG")
LONG = "600"  # longer than any deadline here: who is done by then was ended by something else


@contextmanager
def lingering(pipeline: Pipeline, seconds: str = LONG) -> Iterator[subprocess.Popen[str]]:
    """A pass that has found the bucket drained, and looks for more."""
    with (pipeline.folder / "pass.log").open("w") as log:
        process = pipeline.popen("drain", "--linger", seconds, stdout=log)
    try:
        eventually(lambda: beat(pipeline) or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.communicate()


def beat(pipeline: Pipeline) -> object:
    """When the machine last said that all is drained, and what was in its way."""
    rows = pipeline.sql("SELECT last_pass, obstacle FROM pipeline.heartbeats")
    return tuple(rows[0].values()) if rows else None


def done(pipeline: Pipeline) -> list[str]:
    return [row["key"] for row in pipeline.rows()]


def test_what_comes_in_meanwhile_is_done(pipeline: Pipeline) -> None:
    pipeline.put("first.png", PHOTO)
    with lingering(pipeline) as process:
        assert done(pipeline) == ["first.png"]
        for number in range(3):
            photo = encode(picture(number), "PNG")
            pipeline.put(f"{number}.png", photo)
            eventually(lambda: len(done(pipeline)) == 2 + number)  # noqa: B023  called here only
            assert error(decode(pipeline.get(f"negated_{number}.png")), negated(photo)) == 0
        eventually(lambda: not pipeline.left())
        assert process.poll() is None


def test_the_heartbeat_goes_on(versioned: Pipeline) -> None:
    with lingering(versioned) as process:
        before = beat(versioned)
        eventually(lambda: beat(versioned) != before)
        assert process.poll() is None


def test_no_second_pass_beside_it(versioned: Pipeline) -> None:
    with lingering(versioned):
        assert "Another pass is running" in versioned.drain(1).stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_nothing_was_in_the_way(versioned: Pipeline, number: int) -> None:
    with lingering(versioned) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
    assert beat(versioned)[1] is None  # type: ignore[index]


def test_it_ends_by_itself(versioned: Pipeline) -> None:
    start = time.monotonic()
    with lingering(versioned, "3") as process:
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
    assert time.monotonic() - start >= 3


def test_what_was_left_waits_for_the_next_pass_which_comes_soon(versioned: Pipeline) -> None:
    """It is tried once a pass; others go on, and the pass does not linger to its end."""
    versioned.configure(limits={"seconds": 1})
    versioned.put("slow.webp", slow_photo())
    with lingering(versioned) as process:
        versioned.put("quick.png", PHOTO)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "crashed its transform (1 of 3)" in err
    assert versioned.sql("SELECT key, crashes FROM pipeline.attempts") == [
        {"key": "slow.webp", "crashes": 1}
    ]
    assert "crashed its transform" in str(beat(versioned))
    assert done(versioned) == ["quick.png"]


def test_a_database_that_goes_away_is_noticed_while_nothing_comes_in(versioned: Pipeline) -> None:
    with lingering(versioned) as process:
        versioned.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'pipeline-worker' AND datname = current_database()"
        )
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("The database failed at 'heartbeat'")


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "999999"])
def test_seconds_that_make_no_sense(versioned: Pipeline, text: str) -> None:
    done = versioned.run("drain", f"--linger={text}")
    assert done.returncode == 2
    assert f"{text!r}: give seconds, from 0 to 3600" in done.stderr
