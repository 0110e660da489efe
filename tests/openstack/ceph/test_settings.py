"""Of tests/worker/test_settings.py what asks a store for something, on Ceph: with bad settings the
worker asks nobody for anything."""

from tests.worker.test_settings import test_folders_from_the_environment

__all__ = ["test_folders_from_the_environment"]
