"""Which tests one process runs together when pytest-xdist runs several.

A module's tests share servers and deployed stacks, so a module is run whole by one process. So is a
suite that keeps one machine or one cloud for all its modules.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

WHOLE_SUITES = ("machine", "openstack", "qemu")


class ByModule(LoadScopeScheduling):  # type: ignore[misc]
    """Hand out modules and whole suites, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.split("::", maxsplit=1)[0]
        suite = module.split("/")[1]
        return suite if suite in WHOLE_SUITES else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByModule:
    """Replace what `--dist` names."""
    return ByModule(config, log)
