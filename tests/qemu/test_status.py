"""tests/machine/test_status.py, under a kernel of its own."""

from tests.machine.test_status import *  # noqa: F403
