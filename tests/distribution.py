"""Which tests one process runs together when pytest-xdist runs several.

A module's tests share servers and deployed stacks, so a module is run whole by one process. So is a
suite that keeps one machine or one cloud for all its modules. The fault matrices are shared out by
kinds of buckets, benchmarks one by one.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SHARED_OUT = ("tests/faults/test_matrix.py", "tests/faults/test_fleet_matrix.py")
ONE_BY_ONE = ("tests/bench/test_quick.py",)
WHOLE_SUITES = ("containers", "machine", "openstack", "qemu")


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Hand out modules and whole suites, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", maxsplit=1)[0]
        if module in SHARED_OUT:
            return nodeid.partition("-")[0]  # with the first parameter
        if module in ONE_BY_ONE:
            return nodeid
        suite = module.split("/")[1]
        return suite if suite in WHOLE_SUITES else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    """Replace what `--dist` names."""
    return ByModule(config, log)
