"""One local cloud for the whole suite: look-ups and Trove are asked over real HTTP.

The store and the database are those of the worker's tests.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud import LocalCloud
from tests.worker.conftest import database, rclone

__all__ = ["database", "rclone"]


@pytest.fixture(scope="session")
def local_cloud() -> Iterator[LocalCloud]:
    """A cloud of this session's own, in a folder PostgreSQL's user may enter."""
    with tempfile.TemporaryDirectory(prefix="unit-") as name:
        Path(name).chmod(0o755)
        cloud = LocalCloud(Path(name) / "cloud")
        cloud.start()
        try:
            yield cloud
        finally:
            cloud.stop()


def use_cloud(environment: pytest.MonkeyPatch, cloud: LocalCloud) -> None:
    """The environment as `./pipeline` makes it: the cloud's clouds.yaml and no other OS_*."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        environment.delenv(name)
    environment.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))


@pytest.fixture
def clouds_yaml(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This cloud's clouds.yaml, which the environment names."""
    use_cloud(monkeypatch, local_cloud)
    return local_cloud.clouds_yaml
