"""A file that kills its transform, or the whole worker, is quarantined; no other file is."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.eventually import patience
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from tests.worker.slow import busy, slow_photo

OTHERS = [f"other {number}.png" for number in range(4)]


@contextmanager
def kill_over_slow_photo(worker: int, *, whole: bool) -> Iterator[None]:
    """Kill whatever transforms the slow photo: its process, or the whole worker."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.is_set():
            for child in busy(worker):
                target = psutil.Process(worker) if whole else child
                target.send_signal(signal.SIGKILL)
            ended.wait(0.01)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("whole", [False, True], ids=["its process", "the whole worker"])
def test_a_file_is_quarantined_after_three_crashes_alone(versioned: Pipeline, whole: bool) -> None:
    versioned.put("crashing.webp", slow_photo())
    for number, key in enumerate(OTHERS):
        versioned.put(key, encode(picture(number), "PNG"))
    statuses: list[int] = []
    while versioned.left():
        assert len(statuses) < 8
        process = versioned.popen("drain")
        with kill_over_slow_photo(process.pid, whole=whole):
            _, err = process.communicate(timeout=120 * patience())
        assert "Traceback" not in err
        statuses.append(process.returncode)
    # The first crash, beside others, does not count; three alone do.
    assert statuses == ([-9, -9, -9, -9, 0] if whole else [1, 1, 0])
    outcomes = {row["key"]: row["outcome"] for row in versioned.rows()}
    assert outcomes == {"crashing.webp": "quarantined"} | dict.fromkeys(OTHERS, "done")
    assert versioned.sql("SELECT * FROM pipeline.attempts") == []


@pytest.mark.parametrize("limit", ["seconds", "cpu_seconds"])
def test_a_timeout_counts_as_a_crash(versioned: Pipeline, limit: str) -> None:
    versioned.configure(limits={limit: 1})
    versioned.put("slow.webp", slow_photo())
    for status in (1, 1, 0):
        versioned.drain(status)
    (row,) = versioned.rows()
    assert row["outcome"] == "quarantined"
    assert "crashed 3 times" in row["reason"]


def test_crashes_are_counted_across_passes(pipeline: Pipeline) -> None:
    """An upload is counted as it was listed, also where GET reports another Last-Modified.

    rclone's S3 server lists a file's modification time, which a client may set as metadata (as
    rclone's own does), while GET reports the time of the PUT.
    """
    pipeline.configure(limits={"seconds": 1})
    pipeline.put("slow.webp", slow_photo(), {"mtime": "1700000000"})
    statuses: list[int] = []
    while pipeline.left():
        assert len(statuses) < 5
        statuses.append(pipeline.run("drain").returncode)
    assert statuses == [1, 1, 0]
    (row,) = pipeline.rows()
    assert row["outcome"] == "quarantined"
    if pipeline.kind == "plain":
        assert row["last_modified"].timestamp() == 1_700_000_000
    assert pipeline.sql("SELECT * FROM pipeline.attempts") == []
