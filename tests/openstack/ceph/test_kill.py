"""tests/faults/test_kill.py, on Ceph."""

from tests.faults.test_kill import *  # noqa: F403
