"""The same servers and pipelines as the worker's other tests, and which cells are run."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from local.postgres import PostgreSQL
from tests.faults.chain import Chain, package
from tests.faults.selection import left_out
from tests.worker.conftest import KINDS, database, moto, pipeline, pipelines, rclone, versioned
from tests.worker.pipeline import Pipeline

__all__ = ["database", "moto", "pipeline", "pipelines", "rclone", "versioned"]


@pytest.fixture(scope="package")
def chains(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    database: PostgreSQL,
    pipelines: type[Pipeline],
) -> Iterator[dict[str, Chain]]:
    """Two pipelines per kind of buckets; a test begins with `Chain.begin`."""
    folder = package(tmp_path_factory.mktemp("package"))
    with ExitStack() as stack:
        chains = {}
        for kind in ("versions", "plain"):
            store, place = request.getfixturevalue(KINDS[kind]), tmp_path_factory.mktemp(kind)
            made = pipelines(place, store, database, versions=kind == "versions")
            chains[kind] = Chain(stack.enter_context(made), folder)
        yield chains


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave most cells out, unless all were asked for, or some by name."""
    named = config.option.keyword or any("[" in argument for argument in config.args)
    if config.getoption("--faults") or named:
        return
    out = left_out(items, config.getoption("--fault-seed"))
    if out:
        unwanted = set(out)
        items[:] = [item for item in items if item not in unwanted]
        config.hook.pytest_deselected(items=out)
