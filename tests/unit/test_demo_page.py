"""The page of a demo: opened or printed, and how long it stays."""

from typing import Any

import pytest

from cli.demo_page import demo_page
from cli.errors import CommandError
from cli.machines.local_host import ProcessHost
from tests.unit.test_web_command import KEY, Stack, browser, local, served

__all__ = ["browser", "local", "served"]


class Keyboard:
    """A person at a terminal who types Enter, or Ctrl-C."""

    def __init__(self, *, interrupts: bool) -> None:
        self._interrupts = interrupts

    def isatty(self) -> bool:
        return True

    def readline(self) -> str:
        if self._interrupts:
            raise KeyboardInterrupt
        return "\n"


def show(stack: Stack, *, keep: bool = False) -> None:
    made: Any = stack
    with demo_page(made, keep=keep):
        pass


def test_without_a_terminal_the_address_is_printed_and_nobody_is_waited_for(
    local: ProcessHost, served: int, capsys: pytest.CaptureFixture[str]
) -> None:
    show(Stack([local]))
    address = f"http://127.0.0.1:{served}/login?key={KEY}&to=/results"
    assert capsys.readouterr().out == f"The page: {address}\n"


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize("interrupts", [False, True])
def test_it_stays_until_enter_or_ctrl_c(
    local: ProcessHost,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    interrupts: bool,
) -> None:
    keyboard = Keyboard(interrupts=interrupts)
    monkeypatch.setattr("sys.stdin", keyboard)
    show(Stack([local]))
    printed = capsys.readouterr()
    assert printed.err.endswith("Press Enter to take everything down.\n")
    assert KEY not in printed.out + printed.err


@pytest.mark.usefixtures("browser")
def test_it_waits_for_nobody_if_the_stack_is_kept(
    local: ProcessHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(interrupts=True))
    show(Stack([local]), keep=True)
    assert "Enter" not in capsys.readouterr().err


def test_a_computer_without_a_browser_gets_the_address(
    local: ProcessHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    monkeypatch.setattr("sys.stdin", Keyboard(interrupts=False))
    show(Stack([local]))
    assert KEY in capsys.readouterr().out


def test_a_stack_without_a_page_is_refused(local: ProcessHost) -> None:
    with pytest.raises(CommandError, match="web: false"):
        show(Stack([local], values={"machineNames": ["vm"]}))
