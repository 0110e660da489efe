"""A fault at every step of one of two or three machines: the others do everything.

The fault occurs on the machine that lists for all, or on one that does not. With two machines its
worker is started again whenever it ends; of three, a killed one is gone. Then each pipeline makes
a clean pass, as in test_matrix.py.
"""

import signal
import subprocess
from collections.abc import Callable
from functools import partial
from itertools import count

import pytest
from _pytest.mark.structures import ParameterSet

from bench.fleet import Fleet, Service
from tests.eventually import eventually
from tests.faults.cell import Cell, Injector
from tests.faults.chain import BROKEN, FIRST, SECOND, THIRD, Chain
from tests.faults.injection import INJECTIONS, Target
from tests.faults.sharing import MACHINES, ONE, TWO
from tests.faults.steps import (
    ASSIGNING,
    DATABASE,
    FLEET_STEPS,
    GATHERING,
    LISTING,
    STORE,
    Naming,
    Steps,
)
from tests.faults.test_matrix import MISSING
from tests.faults.test_meanwhile import Moment
from tests.worker.pictures import encode, picture

#: A heartbeat or a lease that is this old belongs to a worker that has ended: 5 s are usual.
_SILENT_SECONDS = 8
# A worker that is ended before it handles SIGTERM still connects.
_STATUSES = {0, 1, -signal.SIGTERM}
#: Steps that no pass of a fleet has, and a rare one.
_MISSING = ("cancel_tasks", "clear_attempts")


def cells() -> list[ParameterSet]:
    """Return all cells, for each kind of buckets."""
    return [
        pytest.param(kind, cell, id=f"{kind}-{cell}")
        for fault, injection in INJECTIONS.items()
        if injection.in_fleet
        for kind in ("versions", "plain")
        for name in (FIRST, SECOND, THIRD)
        if name == FIRST or fault == "SIGKILL"
        for workers in (2, 3)
        for lists in (True, False)
        if lists or name != THIRD
        for place in injection.places(FLEET_STEPS)
        if (cell := Cell(name, fault, *place, workers, lists)).step not in MISSING[name, kind]
        and cell.step not in _MISSING
        and (lists or cell.step not in LISTING)
        and (cell.step in GATHERING) == (name == THIRD)
    ]


@pytest.mark.cells(8)
@pytest.mark.parametrize(("kind", "cell"), cells())
def test_exact(chains: dict[str, Chain], kind: str, cell: Cell) -> None:
    chain, name = chains[kind], cell.pipeline
    chain.begin()
    chain.drain_before(name)
    machines = MACHINES[: cell.workers]
    chain.share(name, machines, ONE if cell.lists else TWO)
    injector = Injector(cell, Steps.of(name, chain.oracle))
    with Fleet(chain.pipeline, machines, [name], acts={ONE: {cell.peer: injector}}) as fleet:
        machine = fleet.machines[ONE]
        service, link = machine.services[name], machine.links[cell.peer]
        injector.strike(lambda: Target(_running(service), link))
        numbers = count()

        def has_struck() -> bool:
            if not injector.has_struck:
                _upload(chain, name, next(numbers))
            return injector.has_struck

        eventually(has_struck, every=1)
        chain.end_share()
        if cell.fault == "SIGKILL" and cell.workers == len(MACHINES):
            machine.kill()
            chain.let_expire(ONE)
        eventually(lambda: _is_done(chain, name), seconds=120, every=0.5)
        link.mend()
        fleet.stop()
    assert not fleet.tracebacks
    assert {*service.statuses} <= _STATUSES.union(cell.injection.statuses), service.errors
    chain.let_expire(ONE)  # `finish` is vm-1, but for the others
    chain.finish()


@pytest.mark.cells(2)
@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("step", ["list", "lead", "due_keys", *ASSIGNING])
def test_frozen_lister(chains: dict[str, Chain], step: str, phase: str) -> None:
    """Another machine lists instead, also if the first one is frozen within a transaction."""
    chain = chains["versions"]
    chain.begin()
    chain.share(FIRST, (ONE, TWO), ONE)
    peer = STORE if step in FLEET_STEPS[STORE] else DATABASE
    moment, freezes = Moment(chain, peer, step, phase), list[Callable[[], None]]()

    def freeze() -> None:
        eventually(lambda: freezes)
        freezes[0]()

    moment.act = freeze
    with Fleet(chain.pipeline, (ONE, TWO), [FIRST], acts={ONE: {peer: moment}}) as fleet:
        freezes.append(fleet.machines[ONE].freeze)
        eventually(moment.came.is_set)
        chain.let_expire(ONE)
        _upload(chain, FIRST, 1)
        eventually(lambda: _is_done(chain, FIRST), every=0.5)
        fleet.machines[ONE].thaw()
        _upload(chain, FIRST, 2)
        eventually(lambda: _is_done(chain, FIRST), every=0.5)
        fleet.stop()
    assert not fleet.tracebacks
    chain.let_expire(ONE)
    chain.finish()


@pytest.mark.parametrize("name", [FIRST, THIRD])
def test_the_table_has_every_request(chains: dict[str, Chain], name: str) -> None:
    """Otherwise no fault would hit it. One machine of two does everything."""
    chain = chains["versions"]
    chain.begin()
    chain.drain_before(name)
    chain.share(name, (ONE, TWO), ONE)
    steps, unknown = Steps.of(name, chain.oracle), list[bytes]()
    seen: set[str | None] = {*_MISSING, *MISSING[name, "versions"]}

    def watch(naming: Naming, turn: int, phase: str, request: bytes) -> None:
        step = naming.name(turn, phase, request)
        seen.add(step)
        if step is None:
            unknown.append(request[:2000])

    acts = {peer: partial(watch, Naming(steps, peer)) for peer in FLEET_STEPS}
    wanted = {step for steps in FLEET_STEPS.values() for step in steps}

    def has_seen_all() -> bool:
        chain.show_alive(name, TWO)
        return wanted <= seen

    with Fleet(chain.pipeline, [ONE], [name], acts={ONE: acts}) as fleet:
        eventually(has_seen_all, what=f"{wanted} are in {seen}")
        eventually(lambda: not chain.left(name))
        fleet.stop()
    assert not fleet.tracebacks
    chain.finish()
    assert not unknown


def _running(service: Service) -> "subprocess.Popen[str]":
    found: subprocess.Popen[str] = eventually(lambda: service.process)
    return found


def _upload(chain: Chain, name: str, number: int) -> None:
    """Upload more, so that the machine with the fault gets something, too."""
    if name == THIRD:
        return
    chain.put(name, f"{number}/good.png", encode(picture(3000 + number), "PNG"))
    chain.put(name, f"{number}/bad.png", BROKEN)


def _is_done(chain: Chain, name: str) -> bool:
    """Return whether nothing is left; what has fallen silent is taken for dead sooner."""
    chain.pipeline.sql(
        "UPDATE pipeline.procrastinate_workers SET last_heartbeat = now() - interval '1 hour' "
        "WHERE last_heartbeat < now() - make_interval(secs => %s)",
        _SILENT_SECONDS,
    )
    return not chain.left(name)
