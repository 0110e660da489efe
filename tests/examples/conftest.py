"""A project copy that shares jars, models and virtual environments with others of this host."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from tests.checkout import Checkout, make_checkout, open_folder
from tests.examples.shown import link_cache


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """Return the root folder of a Pulumi CLI."""
    return pulumi_root()


@pytest.fixture(scope="module")
def checkout(pulumi: Path) -> Iterator[Checkout]:
    """Yield a copy of the project; what a test leaves up is taken down."""
    with open_folder() as base:
        made = make_checkout(base, pulumi)
        link_cache(base / "home")
        environment = {
            **made.environment,
            # pip asks rustc for its version, and rustup's makes a folder in a home without one.
            "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
        }
        # The same of the pip that a machine runs, which has a fixed environment.
        if (rustup := Path(environment["RUSTUP_HOME"])).is_dir():
            (Path(environment["HOME"]) / ".rustup").symlink_to(rustup)
        made = Checkout(made.folder, environment)
        yield made
        made.pipeline("destroy", "--data", code=None)
