"""Images that are released once, and servers for their containers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.paths import cache_folder
from local.machine import debian_tree
from tests.containers.images import BASE, Buildah, Image, missing
from tests.containers.registry import Registry, serving
from tests.worker.conftest import database, moto

__all__ = ["database", "moto"]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty registry."""
    if (lacking := missing()) is not None:
        pytest.skip(lacking)
    with serving(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="session")
def buildah(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Buildah]:
    """What builds images, with a base image."""
    folder = tmp_path_factory.mktemp("buildah")
    made = Buildah(folder, registry)
    suite = BASE.partition(":")[2].removesuffix("-slim")
    made.import_base(debian_tree.build(cache_folder() / "trees", suite))
    yield made
    made("umount", "--all")
    shutil.rmtree(folder)  # gigabytes


@pytest.fixture(scope="session")
def worker(buildah: Buildah) -> Image:
    """The worker's image."""
    return _release(buildah, "worker")


@pytest.fixture(scope="session")
def edge(buildah: Buildah) -> Image:
    """The edge's image."""
    return _release(buildah, "edge")


def _release(buildah: Buildah, name: str) -> Image:
    released = buildah.release(name)
    assert released.returncode == 0, released.stderr[-3000:]
    return buildah.pull(name)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that the users of containers may write."""
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    return folder
