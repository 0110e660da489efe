"""Of tests/worker/test_linger.py what depends on a store's listings, on Ceph."""

from tests.worker.test_linger import (
    test_a_failed_upload_is_retried_and_does_not_delay_others,
    test_new_uploads_are_processed_while_it_lingers,
)

__all__ = [
    "test_a_failed_upload_is_retried_and_does_not_delay_others",
    "test_new_uploads_are_processed_while_it_lingers",
]
