"""`drain`: what a pass works with, and how its end is told."""

import fcntl
import os
import shutil
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

from worker.errors import ServiceUnavailable
from worker.jobs.bucket_pass import Pass
from worker.jobs.steps import Context
from worker.ledger.postgres_ledger import open_ledger
from worker.logs import say
from worker.sandbox.pool import Pool
from worker.settings import Settings
from worker.store.s3_store import open_store


def drain(settings: Settings, linger: float) -> None:
    """Make a pass, then list again for `linger` seconds.

    Raises:
        ServiceUnavailable: The pass failed; the heartbeat names the same reason.
    """
    with ExitStack() as stack:
        folder = _prepare(settings.state, stack)
        ledger = stack.enter_context(open_ledger(settings))
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        threads = 2 * (cores or 1) + 2  # downloads and uploads overlap with the transforms
        pool = Pool(settings.transform, settings.limits, folder, cores or 1)
        context = Context(
            open_store(settings),
            settings.store,
            ledger,
            pool,
            settings.transform,
            settings.machine,
            folder,
        )
        one_pass = Pass(context, threads)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: one_pass.stop())
        try:
            one_pass.run(linger)
        except ServiceUnavailable as error:
            say("pass", obstacle=str(error), **one_pass.counts)
            with suppress(ServiceUnavailable):  # where the database is what failed
                ledger.heartbeat(str(error))
            raise
        say("pass", unenforced=pool.unenforced or None, **one_pass.counts)


def _prepare(state: Path, stack: ExitStack) -> Path:
    """Lock the state folder against a second pass here; return its empty folder for files."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = stack.enter_context((state / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = state / "work"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
    except BlockingIOError:
        raise ServiceUnavailable(
            f"Another pass is under way in {state}: wait for its end."
        ) from None
    except OSError as error:
        raise ServiceUnavailable(
            f"The state folder {state} cannot be used: {error.strerror}."
        ) from error
    return folder
