"""Counts of the page when clocks are set, and names in ZIP files of many namesakes."""

import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from worker.ledger.page_ledger import PageLedger
from worker.store.memory_store import MemoryStore
from worker.store.store import Contents, hash_bytes
from worker.web.files import zipped
from worker.web.stored_files import StoredFile
from worker.web.throughput import Throughput

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Jobs:
    """A ledger of jobs that were done at some times."""

    def __init__(self, *done: datetime) -> None:
        self.done = list(done)

    def done_before(self, pipelines: Sequence[str], until: datetime) -> dict[str, int]:
        return {name: sum(one < until for one in self.done) for name in pipelines}

    def throughput(self, pipelines: Sequence[str], since: datetime) -> list[dict[str, Any]]:
        return [
            {"pipeline": name, "minute": one, "done": 1, "failed": 0}
            for name in pipelines
            for one in self.done
            if one >= since
        ]


def test_counts_are_right_again_after_a_clock_was_set_back() -> None:
    found = Throughput(["a"])
    ledger = Jobs(NOW - timedelta(days=9), NOW - timedelta(minutes=3))
    found.update(cast("PageLedger", ledger), NOW + timedelta(days=400))
    ledger.done.append(NOW - timedelta(minutes=1))
    found.update(cast("PageLedger", ledger), NOW)
    assert found.done("a") == 3
    assert [one.done for one in found.periods("a", NOW, timedelta(minutes=1), 5)] == [0, 1, 0, 1, 0]


def test_namesakes_in_a_zip_file_are_numbered() -> None:
    store = MemoryStore(["bucket"])
    made = hash_bytes(b"content")
    contents = Contents(b"content", made.sha256, made.md5, made.size)
    files = []
    for number in range(4):
        store.put("bucket", f"{number}", contents, "image/png", {})
        file = StoredFile("bucket", f"{number}", "", "cat.png", made.sha256, made.size)
        files.append(("a/Cat.png" if number == 2 else "a/cat.png", file))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(zipped(store, files))))
    names = ["a/cat.png", "a/cat (2).png", "a/Cat (3).png", "a/cat (4).png"]
    assert archive.namelist() == names
    assert {archive.read(name) for name in names} == {b"content"}
