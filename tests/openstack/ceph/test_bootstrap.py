"""tests.worker.test_bootstrap.py, on Ceph."""

from tests.worker.test_bootstrap import *  # noqa: F403
