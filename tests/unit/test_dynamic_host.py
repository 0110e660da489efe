"""The process of the dynamic providers ends when the engine tells it to."""

import os
import signal
import subprocess
import sys

import pytest

from tests.checkout import PROJECT
from tests.eventually import patience


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_an_error_at_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-u", "-m", "cli.engine.dynamic_host", "127.0.0.1:1"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(number)  # right before its main thread blocks
        assert process.wait(60 * patience()) == 0
