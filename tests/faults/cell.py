"""One cell of the matrix: a pass with a fault at a step."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from bench.proxy import Fault
from tests.faults.chain import Chain
from tests.faults.injection import INJECTIONS, Injection, Target
from tests.faults.steps import Naming, Steps

#: Seconds that a pass may take; a pass that hangs fails the test.
MAX_SECONDS = 300


@dataclass(frozen=True)
class Cell:
    """A fault, and where it occurs in a pass.

    Attributes:
        pipeline: The pipeline's name.
        fault: The name of its `Injection`.
        peer: The server before which the proxy is.
        step: The step at which it occurs.
        phase: "before" or "after" the step.
        workers: How many machines work; the fault occurs on the first one.
        lists: Whether this one lists for the others.
    """

    pipeline: str
    fault: str
    peer: str
    step: str
    phase: str
    workers: int = 1
    lists: bool = True

    @property
    def injection(self) -> Injection:
        """How the fault is caused."""
        return INJECTIONS[self.fault]

    @property
    def traits(self) -> set[object]:
        """What must be part of some chosen cell, see `selection`."""
        role = (self.workers, self.lists, self.pipeline)
        return {self.fault, (self.pipeline, self.step), role}

    def __str__(self) -> str:
        role = f"{self.workers} {'lister' if self.lists else 'executor'}"
        parts = (self.pipeline, self.fault, self.step, self.phase)
        return "-".join(parts if self.workers == 1 else (role, *parts))


class Injector:
    """Causes a fault at a step, as the proxy's `act`."""

    def __init__(self, cell: Cell, steps: Steps) -> None:
        self._cell, self._naming = cell, Naming(steps, cell.peer)
        self.count = 0
        self.find_target: Callable[[], Target] | None = None
        self.is_ready = threading.Event()

    def __call__(self, turn: int, phase: str, request: bytes) -> Fault | None:
        step = self._naming.name(turn, phase, request)
        here = (step, phase) == (self._cell.step, self._cell.phase)
        if not here:
            return None
        self.count += 1
        injection = self._cell.injection
        if not injection.skip < self.count <= injection.skip + injection.times:
            return None
        self.is_ready.wait()
        assert self.find_target
        return injection.inject(self.find_target(), request)

    @property
    def has_struck(self) -> bool:
        """Whether the fault has occurred."""
        return self.count > self._cell.injection.skip

    def strike(self, find_target: Callable[[], Target]) -> None:
        """Let the fault occur, at what a function returns."""
        self.find_target = find_target
        self.is_ready.set()


def run_cell(chain: Chain, cell: Cell) -> None:
    """Empty the chain, make one pass of a pipeline with the fault, and check how it ends."""
    chain.begin()
    chain.drain_before(cell.pipeline)
    injector = Injector(cell, Steps.of(cell.pipeline, chain.oracle))
    with chain.through(cell.peer, injector) as proxy:
        worker = chain.start(cell.pipeline)
        injector.strike(lambda: Target(worker, proxy))
        try:
            out, err = worker.communicate(timeout=MAX_SECONDS)
        finally:
            worker.kill()
            worker.wait()
    assert injector.has_struck, f"the pass has no such step: {out} {err}"
    assert worker.returncode in cell.injection.statuses, err
    assert "Traceback" not in err or cell.injection.may_trace, err
