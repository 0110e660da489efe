"""`python -m cli`: what ./pipeline runs."""

import atexit
import os
import signal
import sys

_status = 1  # of an exception that nothing catches


@atexit.register  # the first to be registered is the last to run
def _end() -> None:
    """End without freeing every object, which takes 0.3 s once the engine's SDK is imported."""
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed by the caller
            stream.flush()
    except OSError:  # the pipe's reader has gone: Python exits with its own status
        return
    os._exit(_status)


# Until a command runs, Ctrl-C ends the process: Python's own handler prints a traceback if it comes
# while modules are imported. The script blocks the signal until here.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

from cli.commands import main  # noqa: E402

if __name__ == "__main__":
    try:
        main(prog_name="./pipeline", complete_var="_PIPELINE_COMPLETE")
    except SystemExit as ended:
        _status = ended.code if isinstance(ended.code, int) else bool(ended.code)
        raise
