"""tests/worker/test_drain.py, on Ceph."""

from tests.worker.test_drain import *  # noqa: F403
