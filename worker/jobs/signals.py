"""SIGTERM and SIGINT, handled by a thread."""

import os
import signal
import threading
from collections.abc import Callable


def on_signal(act: Callable[[], None]) -> None:
    """Call a function in a thread at the first SIGTERM or SIGINT; later ones are ignored.

    Python runs handlers in the main thread between any two of its steps: one that takes a lock
    waits for ever if the main thread holds it. So the handler does nothing, and the interpreter
    writes a byte (signal.set_wakeup_fd), for which a thread waits. Blocking the signals for
    sigwait(3) would block them for the child processes, too.

    Args:
        act: May take locks and need time.
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
