"""tests/faults/test_batches.py, on Ceph."""

from tests.faults.test_batches import *  # noqa: F403
