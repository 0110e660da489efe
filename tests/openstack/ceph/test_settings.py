"""The test of tests/worker/test_settings.py that sends a request to the store, on Ceph."""

from tests.worker.test_settings import test_folders_from_the_environment

__all__ = ["test_folders_from_the_environment"]
