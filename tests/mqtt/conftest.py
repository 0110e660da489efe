"""The same servers and pipelines as the worker's other tests, and the way from a camera to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt.world import World
from tests.worker.conftest import database, moto, pipelines, versioned
from tests.worker.pipeline import Pipeline

__all__ = ["database", "moto", "pipelines", "versioned"]


@pytest.fixture
def world(versioned: Pipeline, tmp_path: Path) -> Iterator[World]:
    folder = tmp_path / "world"
    folder.mkdir()
    with World(versioned, folder) as made:
        yield made
