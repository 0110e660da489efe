"""tests/machine/test_hardening.py, under a kernel of its own."""

from tests.machine.test_hardening import *  # noqa: F403
