"""SIGKILL of the worker after each request that changes a bucket, as in tests/faults, on Ceph.

After such a request Ceph has done what the worker does not know of. A kill before a request, or
after one that only reads, finds Ceph as a kill after the change before it; the database is the same
as elsewhere.
"""

import re

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
    for step, request in REQUESTS.items()
    if step not in MISSING[FIRST, kind] and re.match("PUT|POST|DELETE", request)
]


@pytest.mark.parametrize(("kind", "step"), STEPS)
def test_killed_after_a_step(chains: dict[str, Chain], kind: str, step: str) -> None:
    run_cell(chains[kind], Cell(FIRST, "SIGKILL", STORE, step, "after"))
    chains[kind].finish()
