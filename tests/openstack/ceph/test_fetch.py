"""tests/worker/test_fetch.py, on Ceph."""

from tests.worker.test_fetch import *  # noqa: F403
