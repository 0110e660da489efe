"""The command `drain`: prepares a pass, runs it, and reports how it ended."""

import fcntl
import hashlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache, partial
from pathlib import Path

from worker import folder_removal, logs
from worker.dispatch.queue_name import queue_name
from worker.environment import environment_of, policy_of
from worker.errors import PassInterrupted, ServiceUnavailable
from worker.jobs.bucket_pass import Pass
from worker.jobs.context import Context, Reader
from worker.jobs.disk import Disk
from worker.jobs.mode import Mode
from worker.jobs.own_listing import OwnListing
from worker.jobs.request_threads import RequestThreads
from worker.jobs.schedule import Schedule
from worker.jobs.signals import on_signal
from worker.jobs.source import Source
from worker.jobs.work_queue import BATCH_UPLOADS
from worker.ledger.ledger import Ledger, Maker
from worker.ledger.postgres_ledger import PostgresLedger, open_ledger
from worker.ledger.runs import upstream_of
from worker.logs import fields
from worker.sandbox.policy import make_pool
from worker.sandbox.pool import TransformPool
from worker.settings import Pipeline, Settings
from worker.store.s3_store import open_store
from worker.transforms import COMMAND, MODEL, describe, version

# Jobs of a batch run one after another: long ones would leave cores idle.
_BATCH_UPLOADS = {MODEL: 8, COMMAND: 1}
_STOP_SECONDS = 10  # between a signal and the end of the process
_log = logging.getLogger(__name__)


def drain(settings: Settings, name: str | None, linger: float) -> None:
    """Make one pass; if other machines come or go meanwhile, another one in the other mode.

    Args:
        settings: The stack's.
        name: The pipeline's, None if there is only one.
        linger: The seconds without anything new after which the pass ends. 0: it lists and
            processes by itself, whatever other machines do.

    Raises:
        ServiceUnavailable: The pass failed; the heartbeat names the same reason.
        PassInterrupted: A signal stopped the pass, and there is work left.
        InvalidSettings: There is no such pipeline or transform, or a parameter is wrong.
    """  # noqa: DOC502  raised by what it calls
    pipeline = settings.chosen(name)
    logs.configure(pipeline=pipeline.name)
    with ExitStack() as stack:
        folder = _prepare_state(settings.state, stack)
        ledger = stack.enter_context(open_ledger(settings, pipeline.name))
        passes = _Passes(settings, pipeline, ledger, folder, linger)
        on_signal(passes.stop)
        try:
            while passes.make_one():
                pass
        except PassInterrupted as error:
            _log.info("pass", extra=fields(obstacle=str(error), **passes.counts))
            raise
        except ServiceUnavailable as error:
            _log.info("pass", extra=fields(obstacle=str(error), **passes.counts))
            with suppress(ServiceUnavailable):  # the database may be what failed
                ledger.heartbeat(str(error))
            raise


class _Passes:
    """Passes over a pipeline's input bucket, one after another in the same process."""

    def __init__(
        self,
        settings: Settings,
        pipeline: Pipeline,
        ledger: PostgresLedger,
        folder: Path,
        linger: float,
    ) -> None:
        self._settings, self._pipeline, self._ledger = settings, pipeline, ledger
        self._folder, self._linger = folder, linger
        self._mode = Mode(ledger, settings.machine, lingers=linger > 0)
        self._lock = threading.Lock()
        self._current: Pass | None = None
        self._is_stopped = False

    @property
    def counts(self) -> Counter[str]:
        """How many uploads ended in which way in the last pass."""
        return self._current.counts if self._current else Counter()

    def make_one(self) -> bool:
        """Make a pass; return whether another one must follow at once."""
        settings, pipeline, cores = self._settings, self._pipeline, available_cores()
        environment = environment_of(settings, pipeline)
        is_fleet = self._mode.choose()
        with ExitStack() as stack:
            pool = make_pool(pipeline, environment, self._folder, cores)
            context = pass_context(settings, pipeline, self._ledger, pool, self._folder)
            threads = threads_for(cores)
            make = partial(self._fleet_source, stack) if is_fleet else self._own_listing
            source: Source = make(context, threads, schedule_of(settings))
            bucket_pass = Pass(context, threads, source, self._mode.is_outdated)
            with self._lock:
                self._current = bucket_pass
                if self._is_stopped:
                    bucket_pass.stop()
            bucket_pass.run()
        counts = bucket_pass.counts
        _log.info("pass", extra=fields(unenforced=pool.unenforced or None, **counts))
        return bucket_pass.was_outdated and not self._is_stopped

    def stop(self) -> None:
        """Stop within 10 s; running transforms are abandoned and retried by the next pass."""
        timer = threading.Timer(_STOP_SECONDS, os._exit, [1])
        timer.daemon = True
        timer.start()
        with self._lock:
            self._is_stopped = True
            if self._current:
                self._current.stop()

    def _own_listing(self, context: Context, threads: int, schedule: Schedule) -> Source:
        # What is queued is listed again.
        self._ledger.cancel_tasks(queue_name(self._settings.stack, self._pipeline.name))
        return OwnListing(context, threads, schedule, self._linger)

    def _fleet_source(
        self, stack: ExitStack, context: Context, threads: int, schedule: Schedule
    ) -> Source:
        # procrastinate is not imported on a single machine.
        from worker.dispatch.postgres_assignments import open_assignments  # noqa: PLC0415
        from worker.dispatch.task_queue import TaskQueue  # noqa: PLC0415
        from worker.jobs.fleet_source import FleetSource  # noqa: PLC0415

        settings, name = self._settings, self._pipeline.name
        assignments = stack.enter_context(open_assignments(settings, name))
        queue = partial(TaskQueue, settings, name, threads)
        return FleetSource(context, threads, schedule, assignments, queue)


def pass_context(
    settings: Settings, pipeline: Pipeline, ledger: Ledger, pool: TransformPool, folder: Path
) -> Context:
    """Return what the jobs of a pass share, with the stack's object store."""
    store = open_store(settings)
    parameters_sha256 = hashlib.sha256(pipeline.parameters.encode()).hexdigest()
    transform_version = version(pipeline.transform, pipeline.folder.sha256)
    batch_uploads = _BATCH_UPLOADS.get(policy_of(pipeline), BATCH_UPLOADS)
    return Context(
        store=store,
        pipeline=pipeline,
        readers=readers_of(settings.pipelines, pipeline),
        upstream=upstream_of(settings.pipelines, pipeline.name) if pipeline.gather else None,
        requests=RequestThreads() if pipeline.gather else None,
        quarantine=settings.store.quarantine,
        archive=settings.store.archive,
        ledger=ledger,
        pool=pool,
        maker=Maker(pipeline.transform, transform_version, parameters_sha256),
        output_key=pipeline.output_key or describe(pipeline.transform).output_key,
        is_versioned=cache(store.is_versioned),
        machine=settings.machine,
        folder=folder,
        space=Disk(folder).measure,
        batch_uploads=1 if pipeline.gather else batch_uploads,
    )


def schedule_of(settings: Settings) -> Schedule:
    """Return the times of a pass."""
    return Schedule(grace=settings.grace_seconds, empty=settings.empty_seconds)


def readers_of(pipelines: Mapping[str, Pipeline], source: Pipeline) -> tuple[Reader, ...]:
    """Return the pipelines that get copies of the results of one, and under which keys.

    Those that gather get none: they read the results themselves.
    """
    readers = (pipelines[name] for name in source.readers)
    return tuple(
        Reader(one.name, one.input, f"{source.name}/" if len(one.sources) > 1 else "")
        for one in readers
        if not one.gather
    )


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_for(cores: int) -> int:
    """Return the number of threads of a pass: downloads and uploads overlap with transforms."""
    return 2 * cores + 2


def _prepare_state(state: Path, stack: ExitStack) -> Path:
    """Lock the state folder against a second pass, and return its empty folder for files."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = stack.enter_context((state / "lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = state / "work"
        folder_removal.remove(folder)
        folder.mkdir(mode=0o700)
    except BlockingIOError:
        raise ServiceUnavailable(
            f"Another pass is running in {state}: wait until it ends."
        ) from None
    except OSError as error:
        raise ServiceUnavailable(
            f"The state folder {state} cannot be used: {error.strerror}."
        ) from error
    return folder
