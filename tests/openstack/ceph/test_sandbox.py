"""Of tests/worker/test_sandbox.py what asks a store for something, on Ceph."""

from tests.worker.test_sandbox import (
    pytestmark,
    test_a_signal_ends_the_pass_soon_and_counts_nothing,
    test_children_go_with_a_killed_worker,
    test_it_has_nothing_it_does_not_need,
    test_one_pass_at_a_time,
)

__all__ = [
    "pytestmark",
    "test_a_signal_ends_the_pass_soon_and_counts_nothing",
    "test_children_go_with_a_killed_worker",
    "test_it_has_nothing_it_does_not_need",
    "test_one_pass_at_a_time",
]
