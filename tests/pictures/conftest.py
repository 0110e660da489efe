"""The kernels, and which recipes of the matrix are run."""

import random
from collections.abc import Iterator

import pytest

from tests.pictures import tiff_recipes
from tests.pictures.exiftool import ExifTool
from tests.worker.conftest import compiled

__all__ = ["compiled"]
_CHOSEN = 200


@pytest.fixture(scope="session")
def exiftool() -> Iterator[ExifTool]:
    with ExifTool() as running:
        yield running


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run some recipes, chosen by `--picture-seed`, or all of them with `--pictures`."""
    if "recipe" not in metafunc.fixturenames:
        return
    recipes = tiff_recipes.matrix()
    if not metafunc.config.getoption("--pictures"):
        dice = random.Random(metafunc.config.getoption("--picture-seed"))  # noqa: S311
        recipes = tuple(dice.sample(recipes, _CHOSEN))
    metafunc.parametrize("recipe", recipes, ids=str)
