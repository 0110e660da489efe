"""tests/machine/test_first_boot.py, under a kernel of its own."""

from tests.machine.test_first_boot import *  # noqa: F403
