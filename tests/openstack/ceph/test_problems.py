"""Of tests/worker/test_problems.py what a store reports, on Ceph."""

import pytest

from tests.worker import test_problems
from tests.worker.pipeline import Pipeline


@pytest.mark.parametrize("name", ["no input bucket", "no output bucket", "no quarantine bucket"])
def test_a_missing_bucket_is_one_sentence(versioned: Pipeline, name: str) -> None:
    test_problems.test_each_problem_is_one_sentence_and_changes_nothing(versioned, name)
