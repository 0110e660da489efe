"""Reports and log lines: what `log` and `status` print, and the format of the journal's lines."""

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tests.worker.pipeline import ROOT
from tests.worker.results import done, quarantined, record
from worker import logs
from worker.jobs import report
from worker.ledger.ledger import LogFilter
from worker.ledger.memory_ledger import MemoryLedger
from worker.store.memory_store import MemoryStore
from worker.uploads.upload import Upload

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CAT = Upload("input", "cat.png", "", "e", NOON)
DOG = Upload("input", "dog.png", "", "e", NOON)


@pytest.fixture
def ledger() -> MemoryLedger:
    filled = MemoryLedger("vm-1", clock=lambda: NOON)
    record(filled, done(CAT, seconds=0.25), quarantined(DOG, "not an image", seconds=1.5))
    filled.heartbeat(None)
    return filled


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(["input"], clock=lambda: NOON)


def test_log_lines_for_people(ledger: MemoryLedger) -> None:
    assert list(report.log(ledger, LogFilter(), as_json=False)) == [
        "2026-01-02T12:00:00Z    0.250 s  cat.png -> negated_cat.png",
        "2026-01-02T12:00:00Z    1.500 s  dog.png -> quarantined: not an image",
    ]


def test_log_lines_for_programs_are_ascii(ledger: MemoryLedger) -> None:
    odd = Upload("input", "猫\u2028\udc80.png", "", "e", NOON)
    record(ledger, quarantined(odd))
    (line,) = report.log(ledger, LogFilter(like="猫"), as_json=True)
    assert line.isascii()
    assert json.loads(line)["input_key"] == odd.key


def test_status_of_a_pipeline(ledger: MemoryLedger, store: MemoryStore) -> None:
    store.upload("input", "waiting.png", b"1234")
    store.upload("input", "folder/", b"")
    found = report.status(ledger, store, "test", "input")
    assert json.loads(report.status_json(found)) == {
        "pipeline": "test",
        "machines": [{"machine": "vm-1", "last_pass": "2026-01-02T12:00:00Z", "obstacle": None}],
        "backlog": {"count": 1, "bytes": 4, "oldest": "2026-01-02T12:00:00Z"},
        "done": 1,
        "quarantined": 1,
        "rate": 0.2,
        "last_error": "dog.png: not an image",
    }
    assert report.status_text(found).splitlines() == [
        "pipeline test",
        "machine vm-1: last pass 2026-01-02T12:00:00Z, no problem",
        "waiting 1 uploads, 4 bytes, since 2026-01-02T12:00:00Z",
        "done 1, quarantined 1, 0.2 per minute over the last ten",
        "last error: dog.png: not an image",
    ]


def test_status_before_the_first_pass(store: MemoryStore) -> None:
    found = report.status(MemoryLedger("vm-1"), store, "test", "input")
    assert "no machine has made a pass yet" in report.status_text(found)
    assert "waiting 0 uploads, 0 bytes\n" in report.status_text(found)


def test_a_line_of_the_journal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for attribute in ("handlers", "level", "propagate"):  # restored after the test
        root = logging.getLogger("worker")
        monkeypatch.setattr(root, attribute, getattr(root, attribute))
    logs.configure(pipeline="thumbs")
    logger = logging.getLogger("worker.anything")
    logger.info("done", extra=logs.fields(key="naïve\n\udc80.png", seconds=0.5, reason=None))
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (1, "")
    line = json.loads(out)
    time = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - time).total_seconds()) < 60
    assert line == {
        "event": "done",
        "pipeline": "thumbs",
        "key": "naïve\n?.png",
        "seconds": 0.5,
    }


def test_the_parent_process_imports_no_transform() -> None:
    """Only the sandboxed child does: see worker/sandbox/child.py."""
    program = (
        "import sys, worker.jobs.drain; "
        "sys.exit(any(m == 'PIL' or m.startswith('worker.transforms.') for m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
