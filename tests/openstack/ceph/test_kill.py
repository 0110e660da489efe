"""SIGKILL of the worker after each step of a pass, as in tests/faults, on Ceph.

After a step it has done what the worker does not know of; before a step is after the one that came
before it, and the database is the same as elsewhere.
"""

import pytest

from tests.faults.cell import Cell, run_cell
from tests.faults.chain import FIRST, Chain
from tests.faults.conftest import chains
from tests.faults.steps import REQUESTS, STORE
from tests.faults.test_matrix import MISSING

__all__ = ["chains"]


STEPS = [
    (kind, step)
    for kind in ("versions", "plain")
    for step in REQUESTS
    if step not in MISSING[FIRST, kind]
]


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_killed_after_a_step(chains: dict[str, Chain], kind: str, step: str) -> None:
    run_cell(chains[kind], Cell(FIRST, "SIGKILL", STORE, step, "after"))
    chains[kind].finish()
