"""tests/faults/test_reupload.py, on Ceph."""

from tests.faults.test_reupload import *  # noqa: F403
