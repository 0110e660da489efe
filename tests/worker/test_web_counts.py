"""Counts of the page when clocks are set, and names in ZIP files of many namesakes."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from worker.ledger.page_ledger import JobPage, PageFilter, PageLedger, Place
from worker.store.memory_store import MemoryStore
from worker.store.store import Contents, hash_bytes
from worker.web.files import matching_files, zipped
from worker.web.state import State
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


class Results:
    """A ledger of jobs that have 1,000 results each, the newest first."""

    settings = None

    def __init__(self, count: int) -> None:
        rows: list[dict[str, Any]] = [
            {"id": f"{one}", "created_at": NOW, "place": one} for one in range(count)
        ]
        self._jobs = rows[::-1]

    @contextmanager
    def ledger(self) -> Iterator["Results"]:
        yield self

    def job_page(self, page_filter: PageFilter) -> JobPage:
        before = page_filter.before.number if page_filter.before else len(self._jobs)
        left = [job for job in self._jobs if job["place"] < before]
        jobs = left[: page_filter.most]
        return JobPage(jobs, Place(NOW, jobs[-1]["place"]) if len(left) > len(jobs) else None)

    def outputs_of(self, identifiers: Sequence[str], most: int) -> list[dict[str, Any]]:
        one = {"pipeline": "a", "bucket": "b", "version_id": "", "sha256": "", "bytes": 1}
        one |= {"content_type": ""}
        numbers = range(min(most, 1000))
        return [
            one | {"job_id": job, "key": f"{job}-{number}"}
            for job in sorted(identifiers)
            for number in numbers
        ]


def test_a_zip_file_has_a_bound_and_says_where_the_rest_is() -> None:
    state, names, before = cast("State", Results(25)), list[str](), None
    for most in (10_000, 10_000, 5_000):
        matching = PageFilter(["a"], before=before, most=3)
        found = list(matching_files(state, matching, {"pipeline": "a"}))
        names += [name for name, file in found if not isinstance(file, str)]
        texts = [file for _, file in found if isinstance(file, str)]
        assert len(found) == most + len(texts)
        for text in texts:
            (number,) = re.findall(r"/files/results.zip\?pipeline=a&before=\d+-(\d+)", text)
            before = Place(NOW, int(number))
    assert texts == []
    assert len(set(names)) == len(names) == 25_000
    assert names[0].startswith("a/24-")


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
