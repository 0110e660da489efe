"""One cell of the matrix: a pass with a fault at a step."""

import threading
from dataclasses import dataclass

from bench.proxy import Fault
from tests.faults.chain import Chain
from tests.faults.injection import INJECTIONS, Injection, Target
from tests.faults.steps import Steps

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
    """

    pipeline: str
    fault: str
    peer: str
    step: str
    phase: str

    @property
    def injection(self) -> Injection:
        """How the fault is caused."""
        return INJECTIONS[self.fault]

    def __str__(self) -> str:
        return "-".join((self.pipeline, self.fault, self.step, self.phase))


class Injector:
    """Causes a fault at a step, as the proxy's `act`."""

    def __init__(self, cell: Cell, steps: Steps) -> None:
        self._cell, self._steps = cell, steps
        self._prepared: dict[bytes, str] = {}
        self.count = 0
        self.target: Target | None = None
        self.is_ready = threading.Event()

    def __call__(self, _: int, phase: str, request: bytes) -> Fault | None:
        step = self._steps.name(self._cell.peer, request, self._prepared)
        here = (step, phase) == (self._cell.step, self._cell.phase)
        if not here:
            return None
        self.count += 1
        injection = self._cell.injection
        if not injection.skip < self.count <= injection.skip + injection.times:
            return None
        self.is_ready.wait()
        assert self.target
        return injection.inject(self.target, request)


def run_cell(chain: Chain, cell: Cell) -> None:
    """Empty the chain, make one pass of a pipeline with the fault, and check how it ends."""
    chain.begin()
    chain.drain_before(cell.pipeline)
    injector = Injector(cell, Steps.of(cell.pipeline, chain.oracle))
    with chain.through(cell.peer, injector) as proxy:
        worker = chain.start(cell.pipeline)
        injector.target = Target(worker, proxy)
        injector.is_ready.set()
        try:
            out, err = worker.communicate(timeout=MAX_SECONDS)
        finally:
            worker.kill()
            worker.wait()
    assert injector.count > cell.injection.skip, f"the pass has no such step: {out} {err}"
    assert worker.returncode in cell.injection.statuses, err
    assert "Traceback" not in err or cell.injection.may_trace, err
