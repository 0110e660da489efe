"""A project copy per test, with the Pulumi CLI found or built once for all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from tests.checkout import Checkout, make_checkout, open_folder
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator


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


@pytest.fixture(scope="module")
def operator(pulumi: Path) -> Iterator[CloudOperator]:
    """An operator with a stack `lab` that is not up yet."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY)
        yield made


@pytest.fixture
def as_it_was(operator: CloudOperator) -> Iterator[None]:
    """Undo whatever a test does to the operator's files and environment."""
    files = (operator.settings_file("lab"), operator.clouds_yaml)
    before, environment = [file.read_text() for file in files], dict(operator.checkout.environment)
    yield
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
    operator.checkout.environment.clear()
    operator.checkout.environment.update(environment)
