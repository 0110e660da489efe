"""Two chained pipelines in memory, and passes that are killed at a call of store or ledger."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.worker.world import INPUT, World
from worker.settings import Pipeline

FIRST = Pipeline(
    "negatives", "negate", INPUT, "output", output_key="negated_{name}", readers=("inverted",)
)
SECOND = Pipeline("inverted", "negate", "inverted-input", "inverted-output", sources=("negatives",))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def chained(folder: Path, *, versioned: bool = True, **more: Pipeline) -> World:
    return World(folder, versioned, {"negatives": FIRST, "inverted": SECOND} | more)


@pytest.fixture(params=[True, False], ids=["versions", "no versions"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return chained(tmp_path, versioned=request.param)


@pytest.fixture
def versioned(tmp_path: Path) -> World:
    return chained(tmp_path)


class Killed(BaseException):
    """The worker was killed."""


class Killer:
    """Raises in place of a call to the store or the ledger, or right after it."""

    def __init__(self, turn: int, *, after: bool) -> None:
        self.turns, self._turn, self._after = 0, turn, after

    def __call__(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self.turns += 1
        if self.turns < self._turn:
            return call(*arguments, **options)
        if self.turns == self._turn and self._after:
            call(*arguments, **options)
        raise Killed

    def over(self, target: Any) -> Any:
        """Return an object with the same methods, each of which may be the last."""
        killer = self

        class Proxy:
            def __getattr__(self, name: str) -> Any:
                attribute = getattr(target, name)
                if not callable(attribute):
                    return attribute
                return lambda *arguments, **options: killer(attribute, *arguments, **options)

        return Proxy()


def kill_a_pass(world: World, pipeline: str, killer: Killer) -> bool:
    """Make a pass that is killed at its turn; return whether it was."""
    store, ledger = world.store, killer.over(world.ledger_of(pipeline))
    world.store = killer.over(store)
    try:
        world.new_pass(1, pipeline, ledger).run()
    except Killed:
        return True
    finally:
        world.store = store
    return False
