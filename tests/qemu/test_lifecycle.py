"""tests/machine/test_lifecycle.py, under a kernel of its own."""

from tests.machine.test_lifecycle import *  # noqa: F403
