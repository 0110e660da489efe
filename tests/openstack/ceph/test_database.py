"""tests/worker/test_database.py, on Ceph."""

from tests.worker.test_database import *  # noqa: F403
