"""tests/worker/test_obstacles.py, on Ceph."""

from tests.worker.test_obstacles import *  # noqa: F403
