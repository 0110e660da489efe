"""Ctrl-C while the engine is at work: it ends what is under way, and we wait for that."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from cli.errors import CommandError
from cli.terminal import print_progress

_GRACE_SECONDS = 30


@contextmanager
def left_to_the_engine() -> Iterator[None]:
    """Raise KeyboardInterrupt only when the engine, which the terminal tells as well, has ended.

    One that is still at work half a minute later (waiting for a database, say) is told once more,
    as by a second Ctrl-C: then it ends at once, and what it had begun is in the state.
    """
    if not _is_ours_to_hear():
        yield
        return
    impatience = threading.Timer(_GRACE_SECONDS, _tell_engine_again)
    struck = False

    def strike(_number: int, _frame: FrameType | None) -> None:
        nonlocal struck
        if not struck:
            struck = True
            impatience.start()
            print_progress("Stopping once what is under way has ended, in half a minute at most …")

    signal.signal(signal.SIGINT, strike)
    try:
        yield
    except CommandError:
        if not struck:
            raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        impatience.cancel()
    if struck:
        raise KeyboardInterrupt


def _is_ours_to_hear() -> bool:
    """Whether a Ctrl-C would end this thread: nohup has it ignored, and a caller may hear it."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _tell_engine_again() -> None:
    for child in psutil.Process().children():
        try:
            if child.name() == "pulumi":
                child.send_signal(signal.SIGINT)
        except psutil.Error:
            continue  # it has just ended
