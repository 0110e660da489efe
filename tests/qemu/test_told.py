"""tests/machine/test_told.py, under a kernel of its own."""

from tests.machine.test_told import *  # noqa: F403
