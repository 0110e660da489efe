"""Objects that are stored in parts, on Ceph."""

from tests.worker.test_store_contract import (
    bucket,
    test_a_single_part_may_be_small,
    test_an_aborted_upload_leaves_nothing,
    test_an_object_is_stored_in_parts,
    test_parts_need_a_bucket,
    test_parts_that_another_process_left_are_aborted,
)

__all__ = [
    "bucket",
    "test_a_single_part_may_be_small",
    "test_an_aborted_upload_leaves_nothing",
    "test_an_object_is_stored_in_parts",
    "test_parts_need_a_bucket",
    "test_parts_that_another_process_left_are_aborted",
]
