"""Of tests/worker/test_sandbox.py what asks a store for something, on Ceph."""

from tests.worker.test_sandbox import (
    pytestmark,
    test_a_child_has_no_secrets_and_limited_resources,
    test_a_signal_ends_the_pass_within_seconds,
    test_children_die_with_the_worker,
    test_one_pass_at_a_time,
)

__all__ = [
    "pytestmark",
    "test_a_child_has_no_secrets_and_limited_resources",
    "test_a_signal_ends_the_pass_within_seconds",
    "test_children_die_with_the_worker",
    "test_one_pass_at_a_time",
]
