"""tests/machine/test_secrets.py, under a kernel of its own."""

from tests.machine.test_secrets import *  # noqa: F403
