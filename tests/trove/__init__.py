"""What a Trove does, as classes of tests that a suite runs against the one it has.

`tests/unit` runs them against the local cloud's Trove, `tests/openstack` against a real one: each
gives a fixture `trove`. So a stand-in that answers otherwise than the real service fails a test.
"""

import pytest

pytest.register_assert_rewrite("tests.trove.api", "tests.trove.providers", "tests.trove.service")
