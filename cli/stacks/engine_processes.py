"""Processes of Pulumi's engine: Ctrl-C while one runs, and those that a killed command left."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from cli.errors import CommandError
from cli.terminal import print_progress
from local import processes

#: Environment variable with the pid of the `./pipeline` that started an engine.
OWNER = "PIPELINE_PID"
_INTERRUPT_SECONDS = 30
_END_SECONDS = 15


@contextmanager
def finish_after_interrupt() -> Iterator[None]:
    """Let the engine end its running steps after a Ctrl-C, then raise KeyboardInterrupt.

    The terminal sends SIGINT to the engine as well. If it still runs after 30 s (waiting for a
    database, say) it gets a second one, on which it ends at once; steps begun are in the state.
    """
    if not _handles_interrupts():
        yield
        return
    second = threading.Timer(_INTERRUPT_SECONDS, interrupt_engines)
    interrupted = False

    def on_interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            second.start()
            print_progress("Stopping once the running steps have ended, in half a minute at most …")

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    except CommandError:
        if not interrupted:
            raise
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        second.cancel()
    if interrupted:
        raise KeyboardInterrupt


def end_orphans(passphrase_file: str) -> None:
    """End engines and plugins of one stack whose `./pipeline` is gone.

    Interrupted, an engine still writes its state. A `pulumi` that a person typed has no owner and
    is left alone, as are the local cloud's processes, which the cloud ends.

    Args:
        passphrase_file: The stack's, which its processes have in their environment.
    """
    orphans = [each for each in psutil.process_iter() if _is_orphan(each, passphrase_file)]
    for process in orphans:
        process.send_signal(signal.SIGINT)
    for process in psutil.wait_procs(orphans, timeout=_END_SECONDS)[1]:
        process.kill()
    psutil.wait_procs(orphans, timeout=_END_SECONDS)


def _handles_interrupts() -> bool:
    """Whether Ctrl-C would end this thread: nohup ignores it, and a caller may handle it."""
    main = threading.current_thread() is threading.main_thread()
    return main and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def interrupt_engines() -> None:
    """Send SIGINT to the engines that this process has started."""
    for child in psutil.Process().children():
        try:
            if child.name() == "pulumi":
                child.send_signal(signal.SIGINT)
        except psutil.Error:
            continue  # it has just ended


def _is_orphan(process: psutil.Process, passphrase_file: str) -> bool:
    try:
        environment = process.environ()
    except psutil.Error:
        return False
    owner = environment.get(OWNER, "")
    ours = environment.get("PULUMI_CONFIG_PASSPHRASE_FILE") == passphrase_file
    ours = ours and processes.VARIABLE not in environment
    return ours and owner.isdigit() and not psutil.pid_exists(int(owner))
