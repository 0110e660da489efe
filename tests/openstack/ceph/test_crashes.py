"""Of tests/worker/test_crashes.py what leaves a store half-way, on Ceph."""

from tests.worker.test_crashes import test_a_file_is_quarantined_after_three_crashes_alone

__all__ = ["test_a_file_is_quarantined_after_three_crashes_alone"]
