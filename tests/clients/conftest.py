"""The same servers and pipelines as the worker's tests."""

from tests.worker.conftest import database, moto, pipeline, pipelines, rclone, versioned

__all__ = ["database", "moto", "pipeline", "pipelines", "rclone", "versioned"]
