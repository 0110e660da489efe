"""Ctrl-C: one sentence, a clean state, and what to do next."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkout import (
    Checkout,
    make_checkout,
    open_folder,
    output_to_end,
    output_until,
)
from tests.engine.snapshot import take_snapshot


@pytest.fixture(scope="module")
def interruptible(pulumi: Path) -> Iterator[tuple[Checkout, Path]]:
    """A checkout, and the folder of all that its commands write."""
    with open_folder() as base:
        checkout = make_checkout(base, pulumi)
        yield checkout, base
        checkout.pipeline("destroy", code=None)


def interrupt(checkout: Checkout, command: str, moment: str) -> str:
    """Send a Ctrl-C, as a terminal does, when a command prints `moment`; return its output."""
    process = checkout.start(command)
    printed = output_until(process, moment)
    os.killpg(process.pid, signal.SIGINT)
    printed += output_to_end(process)
    assert process.returncode == 130, printed
    for noise in ("Traceback", "Exception", "Warning", "being changed", "could not"):
        assert noise not in printed, printed
    return printed


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("Starting the cloud", marks=pytest.mark.long),
        "created  TroveInstance",
        pytest.param("Sending photos", marks=pytest.mark.long),
    ],
)
def test_interrupted_demo_leaves_nothing(moment: str, interruptible: tuple[Checkout, Path]) -> None:
    checkout, base = interruptible
    before = take_snapshot(base)
    printed = interrupt(checkout, "demo", moment)
    assert printed.strip().endswith("Interrupted: nothing is left of it."), printed
    assert not (checkout.folder / ".local").exists()
    assert take_snapshot(base).left_since(before) == {}


def test_terminated_demo_leaves_nothing(interruptible: tuple[Checkout, Path]) -> None:
    checkout, base = interruptible
    before = take_snapshot(base)
    process = checkout.start("demo")
    printed = output_until(process, "created  Container")
    process.terminate()
    printed += output_to_end(process)
    assert printed.strip().endswith("Interrupted: nothing is left of it."), printed
    assert process.returncode == 130
    assert not (checkout.folder / ".local").exists()
    assert take_snapshot(base).left_since(before) == {}


def test_status_beside_the_first_demo_says_to_wait(
    interruptible: tuple[Checkout, Path],
) -> None:
    checkout, _ = interruptible
    process = checkout.start("demo")
    output_until(process, "Starting the cloud")
    os.killpg(process.pid, signal.SIGSTOP)  # so that it makes no machine before `status` has run
    try:
        answer = checkout.pipeline("status", code=1)
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        process.terminate()
        output_to_end(process)
    assert process.returncode == 130
    assert "Another ./pipeline command is changing the local stack: wait" in answer.stderr


def test_interrupted_up_and_destroy_can_be_continued(
    interruptible: tuple[Checkout, Path],
) -> None:
    checkout, _ = interruptible
    printed = interrupt(checkout, "up", "created  TroveInstance")
    assert "'./pipeline up' continues" in printed
    again = checkout.pipeline("up").stderr
    assert "created  TroveInstance" not in again, "what was made is known"
    assert "created  Instance" in printed + again
    printed = interrupt(checkout, "destroy", "deleted  Instance")
    assert "'./pipeline destroy' takes it down" in printed
    assert "deleted  Instance" not in checkout.pipeline("destroy").stderr
    assert not (checkout.folder / ".local").exists()
