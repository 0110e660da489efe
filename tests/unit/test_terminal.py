"""What a narrow, a plain or an old terminal shows."""

import os
import re
import subprocess
import sys

import pytest

from tests.checkout import PROJECT

_LONG = f"""
import time
from cli.terminal import spinner
with spinner("Standing up") as screen:
    screen.show("Standing up: {"one more resource, " * 20}")
    time.sleep(0.3)
"""


def python(*words: str, **environment: str) -> str:
    """What a Python with the checkout's modules prints; fails the test where it fails."""
    answer = subprocess.run(
        [sys.executable, *words],
        cwd=PROJECT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    shown = answer.stdout.decode("utf-8", "replace")
    assert answer.returncode == 0, shown
    return shown


def test_the_moving_line_is_one_line_on_a_narrow_terminal() -> None:
    shown = python("-c", _LONG, FORCE_COLOR="1", TERM="xterm", COLUMNS="50")
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", shown))
    assert any("Standing up: one more" in line for line in lines), shown
    assert max(map(len, lines)) <= 50


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_our_characters_is_no_failure(encoding: str) -> None:
    code = (
        "from cli.terminal import print_result, print_progress; "
        "print_result('send PHOTO…'); print_progress('Wait …')"
    )
    shown = python("-c", code, PYTHONIOENCODING=encoding)
    assert "send PHOTO" in shown
    assert "Wait " in shown


def test_the_list_of_commands_fits_a_terminal() -> None:
    shown = python("-m", "cli", "--help", COLUMNS="80")
    assert "demo" in shown
    assert "..." not in shown.split("Commands:")[1]
