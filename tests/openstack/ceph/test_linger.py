"""Of tests/worker/test_linger.py what asks a store for something, on Ceph."""

from tests.worker.test_linger import (
    test_a_database_that_goes_away_is_noticed_while_nothing_comes_in,
    test_a_signal_ends_it_and_nothing_was_in_the_way,
    test_it_ends_by_itself,
    test_no_second_pass_beside_it,
    test_the_heartbeat_goes_on,
    test_what_comes_in_meanwhile_is_done,
    test_what_was_left_waits_for_the_next_pass_which_comes_soon,
)

__all__ = [
    "test_a_database_that_goes_away_is_noticed_while_nothing_comes_in",
    "test_a_signal_ends_it_and_nothing_was_in_the_way",
    "test_it_ends_by_itself",
    "test_no_second_pass_beside_it",
    "test_the_heartbeat_goes_on",
    "test_what_comes_in_meanwhile_is_done",
    "test_what_was_left_waits_for_the_next_pass_which_comes_soon",
]
