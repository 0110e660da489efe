"""Of tests/worker/test_crashes.py what leaves a store half-way, on Ceph."""

from tests.worker.test_crashes import test_three_crashes_alone_then_quarantine

__all__ = ["test_three_crashes_alone_then_quarantine"]
