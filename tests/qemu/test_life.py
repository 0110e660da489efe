"""tests/machine/test_life.py, under a kernel of its own."""

from tests.machine.test_life import *  # noqa: F403
