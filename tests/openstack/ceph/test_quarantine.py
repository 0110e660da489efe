"""tests/worker/test_quarantine.py, on Ceph."""

from tests.worker.test_quarantine import *  # noqa: F403
