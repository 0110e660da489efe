"""The watchdog of a systemd unit (sd_notify(3), WATCHDOG=1). Standard library only."""

import os
import socket
from contextlib import suppress


class Watchdog:
    """Reports to systemd that this process works; without a watchdog in its unit it does nothing.

    Attributes:
        seconds: After which time without a report systemd ends the unit, None without a watchdog.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        microseconds = os.environ.get("WATCHDOG_USEC")
        # Children inherit the variables; systemd listens to the unit's main process only.
        is_main = os.environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        if microseconds and is_main:
            self.seconds = int(microseconds) / 1e6
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))

    def ping(self) -> None:
        """Report now; an error is ignored, since the next report follows soon."""
        if self.seconds is not None:
            with suppress(OSError):
                self._socket.send(b"WATCHDOG=1")
