"""A project copy per test, with the Pulumi CLI found or built once for all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from tests.checkout import Checkout, environment, settle


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The root of a Pulumi CLI; the first call on a machine builds it, which takes minutes."""
    return pulumi_root()


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that others may enter: pytest's own is closed to the user PostgreSQL runs as."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def checkout(base: Path, pulumi: Path) -> Iterator[Checkout]:
    """A copy that shares this run's packages and CLI; whatever a test leaves up is taken down."""
    made = make_checkout(base, pulumi)
    yield made
    made.pipeline("destroy", "--data", code=None)


@pytest.fixture(scope="module")
def shared_checkout(pulumi: Path) -> Iterator[Checkout]:
    """One copy for all the tests of a module."""
    with open_folder() as folder:
        made = make_checkout(folder, pulumi)
        yield made
        made.pipeline("destroy", "--data", code=None)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder with modes that let others look."""
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def make_checkout(base: Path, pulumi: Path) -> Checkout:
    """A copy below `base`; home and temporary folder are its own, the packages are ours."""
    folder, home, temporary = settle(base)
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    return Checkout(folder, environment(home, temporary, PATH=path))


def seed_cache(home: Path, pulumi: Path) -> None:
    """Put the CLI where a second run would find it."""
    shutil.copytree(pulumi, home / ".cache" / "image-pipeline" / pulumi.name, symlinks=True)
