"""The same servers and pipelines as the worker's other tests."""

from tests.worker.conftest import database, moto, pipelines, rclone, unversioned, versioned

__all__ = ["database", "moto", "pipelines", "rclone", "unversioned", "versioned"]
