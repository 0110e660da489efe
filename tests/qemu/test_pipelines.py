"""tests/machine/test_pipelines.py, under a kernel of its own."""

from tests.machine.test_pipelines import *  # noqa: F403
