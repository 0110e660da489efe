"""Who is blamed when a transform, or the whole worker, dies over a file."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline
from tests.worker.slow import busy, slow_photo

INNOCENTS = [f"innocent {number}.png" for number in range(4)]


@contextmanager
def deadly(worker: int, *, whole: bool) -> Iterator[None]:
    """Whenever the slow photo is in work, its process is killed, or the whole worker."""
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
def test_three_crashes_alone_then_quarantine(versioned: Pipeline, whole: bool) -> None:
    versioned.put("killer.webp", slow_photo())
    for number, key in enumerate(INNOCENTS):
        versioned.put(key, encode(picture(number), "PNG"))
    statuses: list[int] = []
    while versioned.left():
        assert len(statuses) < 8
        process = versioned.popen("drain")
        with deadly(process.pid, whole=whole):
            _, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        statuses.append(process.returncode)
    # Once in company, which does not count; then three times alone.
    assert statuses == ([-9, -9, -9, -9, 0] if whole else [1, 1, 0])
    outcomes = {row["key"]: row["outcome"] for row in versioned.rows()}
    assert outcomes == {"killer.webp": "quarantined"} | dict.fromkeys(INNOCENTS, "done")
    assert versioned.sql("SELECT * FROM pipeline.attempts") == []


@pytest.mark.parametrize("limit", ["seconds", "cpu_seconds"])
def test_what_takes_too_long_counts_as_a_crash(versioned: Pipeline, limit: str) -> None:
    versioned.configure(limits={limit: 1})
    versioned.put("slow.webp", slow_photo())
    for status in (1, 1, 0):
        versioned.drain(status)
    (row,) = versioned.rows()
    assert row["outcome"] == "quarantined"
    assert "crashed 3 times" in row["reason"]


def test_crashes_add_up_over_lingering_passes(pipeline: Pipeline) -> None:
    """An upload is counted as it was listed, also where GET reports another Last-Modified.

    rclone's S3 server lists a file's modification time, which a client may set as metadata (as
    rclone's own does), while GET reports the time of the PUT.
    """
    pipeline.configure(limits={"seconds": 1})
    pipeline.put("slow.webp", slow_photo(), {"mtime": "1700000000"})
    statuses: list[int] = []
    while pipeline.left():
        assert len(statuses) < 5
        statuses.append(pipeline.run("drain", "--linger", "1").returncode)
    assert statuses == [1, 1, 0]
    (row,) = pipeline.rows()
    assert row["outcome"] == "quarantined"
    if pipeline.kind == "plain":
        assert row["last_modified"].timestamp() == 1_700_000_000
    assert pipeline.sql("SELECT * FROM pipeline.attempts") == []
