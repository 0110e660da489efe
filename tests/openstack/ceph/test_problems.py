"""tests/worker/test_problems.py, on Ceph."""

from tests.worker.test_problems import *  # noqa: F403
