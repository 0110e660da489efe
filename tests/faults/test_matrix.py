"""Every fault at every step of a pass: after one clean pass, everything is exact.

The fault occurs in a pass of a pipeline; then each pipeline makes a clean pass, and the oracle
compares what users uploaded with what is there. `./pipeline test --faults` runs all cells; other
suites run some, chosen by a seed (conftest.py).
"""

import pytest
from _pytest.mark.structures import ParameterSet

from tests.faults.cell import MAX_SECONDS, Cell, run_cell
from tests.faults.chain import FIRST, SECOND, THIRD, Chain
from tests.faults.injection import INJECTIONS
from tests.faults.steps import DATABASE, GATHERING, STORE, Naming, Steps

#: Steps that a pass does not have.
_ALL = ("find_origins", "clear_attempts", *GATHERING)
_READER = ("quarantine", "put note", "delete withdrawn", "clear_attempts")
_CHAIN = (
    *("look at result", "copy to reader", "archive"),
    *("ask whether the reader has versions", "look for copy"),
)
MISSING = {
    (FIRST, "versions"): {"look for copy", *_ALL},
    (FIRST, "plain"): {"delete withdrawn", *_ALL},
    (SECOND, "versions"): {"look at upload", *_READER, *_CHAIN, *GATHERING},
    (SECOND, "plain"): {*_READER, *_CHAIN, *GATHERING},
    (THIRD, "versions"): {"look at upload", *_READER, *_CHAIN},
    (THIRD, "plain"): {*_READER, *_CHAIN},
}


def cells() -> list[ParameterSet]:
    """Return all cells, for each kind of buckets."""
    return [
        pytest.param(kind, cell, id=f"{kind}-{cell}")
        for fault, injection in INJECTIONS.items()
        for kind in ("versions", "plain")
        for name in (FIRST, SECOND, THIRD)
        for place in injection.places()
        if (cell := Cell(name, fault, *place)).step not in MISSING[name, kind]
        and (
            cell.step in GATHERING
            or name == FIRST
            or (name == SECOND and injection.in_reader)
            or fault == "SIGKILL"
        )
    ]


@pytest.mark.cells(24)
@pytest.mark.parametrize(("kind", "cell"), cells())
def test_exact(chains: dict[str, Chain], kind: str, cell: Cell) -> None:
    run_cell(chains[kind], cell)
    chains[kind].finish()


@pytest.mark.parametrize("name", [FIRST, SECOND, THIRD])
@pytest.mark.parametrize("kind", ["versions", "plain"])
@pytest.mark.parametrize("peer", [STORE, DATABASE])
def test_the_table_has_every_request(
    chains: dict[str, Chain], kind: str, name: str, peer: str
) -> None:
    """Otherwise no fault would hit it."""
    chain = chains[kind]
    chain.begin()
    chain.drain_before(name)
    naming = Naming(Steps.of(name, chain.oracle), peer)
    seen, unknown = set[str | None](), list[bytes]()

    def watch(turn: int, phase: str, request: bytes) -> None:
        if phase == "before":
            seen.add(naming.name(turn, phase, request))
            if None in seen:
                seen.remove(None)
                unknown.append(request[:2000])

    with chain.through(peer, watch):
        process = chain.start(name)
        _, err = process.communicate(timeout=MAX_SECONDS)
        assert process.returncode == 0, err
    chain.finish()
    assert not unknown
    wanted = {step for one in INJECTIONS.values() for at, step, _ in one.places() if at == peer}
    assert wanted - seen - MISSING[name, kind] == set()
    # The last one follows a listing that is older than a deletion.
    assert MISSING[name, kind] & seen <= {"clear_attempts"}
