"""SIGKILL of the worker around its requests, as tests/faults does it for other stores, on Ceph.

After every request to the store: then it has done what the worker does not know of. Before a
request is after the one that came before it, and the database is the same as elsewhere: there, a
third of the moments will do.
"""

import pytest

from tests.faults.test_kill import kill_at_each_turn
from tests.worker.pipeline import Pipeline


@pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
@pytest.mark.parametrize(
    ("peer", "phase", "step"),
    [
        ("store", "after", 1),
        ("store", "before", 3),
        ("database", "before", 3),
        ("database", "after", 3),
    ],
)
def test_killed_around_requests(pipeline: Pipeline, peer: str, phase: str, step: int) -> None:
    kill_at_each_turn(pipeline, peer, phase, step)
