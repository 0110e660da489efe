"""When a machine changes between passes of its own and passes that share work."""

import time

import pytest

from worker.jobs.mode import Mode
from worker.ledger.memory_ledger import MemoryLedger
from worker.ledger.memory_tables import MemoryTables


def test_a_machine_that_comes_and_goes_changes_the_mode_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a pass has running may take hours, in which the other threads have nothing to do."""
    tables, seconds = MemoryTables(), 0.0
    monkeypatch.setattr(time, "monotonic", lambda: 1000 + seconds)
    other = MemoryLedger("vm-2", "negatives", tables)
    mode = Mode(MemoryLedger("vm-1", "negatives", tables), "vm-1", lingers=True)
    assert (mode.choose(), mode.is_outdated()) == (False, False)
    other.heartbeat(None, is_live=True)
    assert (mode.is_outdated(), mode.choose(), mode.is_outdated()) == (True, True, False)
    for _ in range(10):
        other.heartbeat("The disk is full.")
        seconds += 20
        assert not mode.is_outdated()
        other.heartbeat(None, is_live=True)
        assert not mode.is_outdated()
    other.heartbeat(None)
    seconds += 31
    assert (mode.is_outdated(), mode.choose(), mode.is_outdated()) == (True, False, False)


def test_a_pass_that_does_not_linger_works_by_itself() -> None:
    tables = MemoryTables()
    MemoryLedger("vm-2", "negatives", tables).heartbeat(None, is_live=True)
    mode = Mode(MemoryLedger("vm-1", "negatives", tables), "vm-1", lingers=False)
    assert (mode.choose(), mode.is_outdated()) == (False, False)
