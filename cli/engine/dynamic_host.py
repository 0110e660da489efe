"""The process of our dynamic providers: `python -m cli.engine.dynamic_host ENGINE`.

It is `python -m pulumi.dynamic`, except that it ends as soon as the engine, which is done and waits
for that, sends SIGINT. Python's default would free every object first (0.3 s), and the signal is
lost if it comes just before the main thread blocks: the engine then waits for 5 s and kills.
"""

import os
import runpy
import signal
import threading

_ENDING = {signal.SIGINT, signal.SIGTERM}


def main() -> None:
    """Serve until the engine ends the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # so does every thread started from here on
    threading.Thread(target=_await_end, daemon=True).start()
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)


def _await_end() -> None:
    signal.sigwait(_ENDING)
    os._exit(0)


if __name__ == "__main__":
    main()
