"""Of tests/worker/test_linger.py what asks a store for something, on Ceph."""

from tests.worker.test_linger import (
    test_a_failed_upload_is_retried_and_does_not_delay_others,
    test_a_lost_database_is_noticed_while_idle,
    test_a_second_pass_is_refused,
    test_a_signal_ends_it_without_a_failure,
    test_it_ends_after_its_time,
    test_new_uploads_are_processed_while_it_lingers,
    test_the_heartbeat_continues,
)

__all__ = [
    "test_a_failed_upload_is_retried_and_does_not_delay_others",
    "test_a_lost_database_is_noticed_while_idle",
    "test_a_second_pass_is_refused",
    "test_a_signal_ends_it_without_a_failure",
    "test_it_ends_after_its_time",
    "test_new_uploads_are_processed_while_it_lingers",
    "test_the_heartbeat_continues",
]
