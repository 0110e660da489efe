"""SIGKILL of the worker after every request to Ceph, as tests/faults does it for other stores.

After, not before: then the store has done what the worker does not know of. Before a request is
after the one that came before it.
"""

import pytest

from tests.faults import test_kill as faults
from tests.worker.pipeline import Pipeline


@pytest.mark.parametrize("pipeline", ["versions", "plain"], indirect=True)
def test_killed_after_every_request(pipeline: Pipeline) -> None:
    faults.test_killed_at_every_request(pipeline, "store", "after")
