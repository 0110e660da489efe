"""SIGTERM and SIGINT, handled by a thread."""

import os
import signal
import threading
from collections.abc import Callable


def on_signal(act: Callable[[], None]) -> None:
    """Call a function in a thread at the first SIGTERM or SIGINT; later ones are ignored.

    Python runs handlers in the main thread between two instructions: a handler that takes a lock
    deadlocks if that thread holds it. The handler therefore does nothing, and a thread waits for
    the byte that the interpreter writes (signal.set_wakeup_fd). sigwait(3) needs blocked signals,
    and child processes would inherit the block.

    Args:
        act: The function; it may take locks and time.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)

    def wait() -> None:
        os.read(read_end, 1)
        act()

    threading.Thread(target=wait, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
