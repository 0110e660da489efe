"""The machines of a stack as processes: what systemd runs on each, behind links that can be cut."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from bench import usage
from bench.pipeline import WorkerPipeline
from bench.proxy import Act, Proxy

STORE, DATABASE = "store", "database"
#: pipeline-worker@.service, WatchdogSec=
_WATCHDOG_SECONDS = 60
_LOOK_SECONDS, _PATIENCE_SECONDS = 0.2, 120
_LIVE = "SELECT count(*) FROM pipeline.heartbeats WHERE live AND machine = any(%s)"
_DISPATCHED = """
SELECT count(*)
FROM pipeline.procrastinate_workers
WHERE last_heartbeat > now() - interval '15 seconds'
"""


class Service:
    """A worker that is started again whenever it ends, as its unit is.

    It gets a watchdog, as from systemd (sd_notify(3), sd_watchdog_enabled(3)): if it has notified
    once and then no longer does, it is ended by SIGABRT.

    Args:
        start: Starts the worker with further variables of its environment.
        pause: Seconds between its end and its next start.
    """

    def __init__(
        self, start: Callable[[Mapping[str, str]], "subprocess.Popen[str]"], pause: float
    ) -> None:
        self._start, self._pause = start, pause
        self._is_wanted, self._is_frozen = False, False
        self._starting = threading.Lock()  # or a worker would start after `end` has looked
        self._thread: threading.Thread | None = None
        self.process: subprocess.Popen[str] | None = None
        self.statuses: list[int] = []  # of the workers that have ended
        self.errors: list[str] = []  # and what they wrote

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._is_wanted, self._is_frozen = True, False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self, number: int) -> None:
        """End it by a signal, and do not start it again."""
        with self._starting:
            self._is_wanted = False
        self._signal(signal.SIGCONT)
        self._signal(number)
        if self._thread:
            self._thread.join()

    def freeze(self) -> None:
        """Stop it and its transforms, as a hypervisor does that pauses its machine."""
        self._is_frozen = True
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self._is_frozen = False

    def _signal(self, number: int) -> None:
        """Send a signal to the worker; those that nothing handles also to its transforms."""
        with suppress(psutil.NoSuchProcess):
            if self.process and self.process.poll() is None:
                worker = psutil.Process(self.process.pid)
                children = worker.children(recursive=True) if number != signal.SIGTERM else []
                for one in (worker, *children):
                    with suppress(psutil.NoSuchProcess):
                        one.send_signal(number)

    def _run(self) -> None:
        while self._is_wanted:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
                notified.bind("")  # to an abstract address, see unix(7): a path may be too long
                notified.settimeout(0.2)
                name = notified.getsockname().decode().replace("\0", "@", 1)
                microseconds = str(_WATCHDOG_SECONDS * 1_000_000)
                with self._starting:
                    if not self._is_wanted:
                        return
                    self.process = self._start(
                        {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": microseconds}
                    )
                reader = threading.Thread(target=self._read, args=[self.process], daemon=True)
                reader.start()
                self._watch(self.process, notified)
                reader.join()
            self.statuses.append(self.process.returncode)
            ended = time.monotonic()
            while self._is_wanted and time.monotonic() - ended < self._pause:
                time.sleep(0.05)

    def _read(self, process: "subprocess.Popen[str]") -> None:
        _, errors = process.communicate()
        self.errors.append(errors)

    def _watch(self, process: "subprocess.Popen[str]", notified: socket.socket) -> None:
        latest: float | None = None
        while process.poll() is None:
            with suppress(TimeoutError):
                if b"WATCHDOG=1" in notified.recv(4096) or latest is None:
                    latest = time.monotonic()
            now = time.monotonic()
            if self._is_frozen:
                latest = latest and now
            elif latest is not None and now - latest > _WATCHDOG_SECONDS:
                process.send_signal(signal.SIGABRT)
                latest = None


class Machine:
    """A machine of a fleet: a worker for each pipeline, and two links.

    Args:
        pipeline: The stack.
        name: The machine's name.
        acts: Called by the proxies of its links, see `Proxy`; None: it has no links, but reaches
            the servers directly.
        enter: Called by its processes before anything else, as by `subprocess.Popen`.
    """

    def __init__(
        self,
        pipeline: WorkerPipeline,
        name: str,
        acts: Mapping[str, Act] | None,
        enter: Callable[[], None] | None = None,
    ) -> None:
        self._pipeline, self.name, self._enter = pipeline, name, enter
        self._folder = pipeline.folder / "machines" / name
        url, server = urlsplit(pipeline.store.endpoint), pipeline.server
        addresses = {
            STORE: (str(url.hostname), int(url.port or 0)),
            DATABASE: (server.host, server.port),
        }
        self.links = {
            peer: Proxy(*address, acts.get(peer, lambda *_: None))
            for peer, address in addresses.items()
            if acts is not None
        }
        self.services: dict[str, Service] = {}

    def open(self, names: Sequence[str], linger: float, pause: float) -> None:
        """Start the worker of each pipeline; see `Fleet` and `Service`."""
        for link in self.links.values():
            link.__enter__()
        changes: dict[str, dict[str, object]] = {"top": {"machine": self.name}}
        if self.links:
            changes["store"] = {"endpoint": f"http://127.0.0.1:{self.links[STORE].port}"}
            changes["database"] = {"port": self.links[DATABASE].port}
        settings = self._pipeline.write_settings(self._folder, **changes)
        for name in names:
            self.services[name] = self._service(settings, name, linger, pause)
        self.start()

    def _service(self, settings: Path, name: str, linger: float, pause: float) -> Service:
        state = self._folder / name
        state.mkdir(parents=True, exist_ok=True)
        arguments = ("drain", "--pipeline", name, "--linger", str(linger))

        def start(environment: Mapping[str, str]) -> "subprocess.Popen[str]":
            return subprocess.Popen(
                [*self._pipeline.command, "--settings", str(settings), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=state,
                preexec_fn=self._enter,  # noqa: PLW1509
                env={
                    **self._pipeline.process_environment,
                    "STATE_DIRECTORY": str(state),
                    **environment,
                },
            )

        return Service(start, pause)

    def start(self) -> None:
        """Start its workers after `kill` or `stop`."""
        for service in self.services.values():
            service.start()

    def kill(self) -> None:
        """End it as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let its workers end by SIGTERM."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        threads = [
            threading.Thread(target=service.end, args=[number])
            for service in self.services.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def freeze(self) -> None:
        """Stop all its processes."""
        for service in self.services.values():
            service.freeze()

    def thaw(self) -> None:
        """Let its processes go on."""
        for service in self.services.values():
            service.thaw()

    def cpu(self) -> float:
        """Return the CPU seconds of its running workers and their transforms so far."""
        processes = [one.process for one in self.services.values() if one.process]
        return sum(usage.tree_cpu_seconds(one.pid) for one in processes)

    def pss(self) -> int:
        """Return the PSS of its running workers and their transforms in bytes."""
        processes = [one.process for one in self.services.values() if one.process]
        return sum(usage.pss(one.pid) for one in processes)

    def close(self) -> None:
        """End its workers and its links."""
        for link in self.links.values():
            link.__exit__()
        self.kill()


class Fleet:
    """Machines that work for a stack while the context lasts.

    Args:
        pipeline: The stack.
        machines: The names of the machines.
        names: The names of the pipelines.
        linger: See `drain --linger`.
        pause: Seconds between the end of a worker and its next start.
        acts: By machine: called by the proxies of its links.
        linked: Whether machines have links; otherwise they reach the servers directly.
        enter: By machine: called by its processes before anything else.
    """

    def __init__(
        self,
        pipeline: WorkerPipeline,
        machines: Sequence[str],
        names: Sequence[str],
        *,
        linger: float = 60,
        pause: float = 1,
        acts: Mapping[str, Mapping[str, Act]] | None = None,
        linked: bool = True,
        enter: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._names, self._linger, self._pause = names, linger, pause
        self._pipeline = pipeline
        acts, enter = acts or {}, enter or {}
        self.machines = {
            name: Machine(pipeline, name, acts.get(name, {}) if linked else None, enter.get(name))
            for name in machines
        }

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for machine in self.machines.values():
                stack.callback(machine.close)
                machine.open(self._names, self._linger, self._pause)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def stop(self) -> None:
        """Let all workers end by SIGTERM, so that no lease remains."""
        for machine in self.machines.values():
            machine.stop()

    def cpu(self) -> float:
        """Return the CPU seconds of the running workers and their transforms so far."""
        return sum(machine.cpu() for machine in self.machines.values())

    def await_ready(self, *, dispatched: bool | None = None) -> None:
        """Wait until every machine takes part in the work for every pipeline.

        Args:
            dispatched: Whether a queue dispatches; None if it does from two machines on.

        Raises:
            RuntimeError: No further one does for two minutes.
        """  # noqa: DOC502
        wanted = len(self.machines) * len(self._names)
        self._await(_LIVE, wanted, "machines to be live", list(self.machines))
        if dispatched or (dispatched is None and len(self.machines) > 1):
            self._await(_DISPATCHED, wanted, "machines to listen to the queue")

    def _await(self, query: str, count: int, what: str, *values: object) -> None:
        changed, latest = time.monotonic(), -1
        while latest != count:
            [row] = self._pipeline.sql(query, *values)
            if row["count"] != latest:
                changed, latest = time.monotonic(), row["count"]
            if time.monotonic() - changed > _PATIENCE_SECONDS:
                services = [
                    one for each in self.machines.values() for one in each.services.values()
                ]
                errors = [text for one in services for text in one.errors]
                raise RuntimeError(f"waited for {count} {what}, got {latest}: {errors}")
            time.sleep(_LOOK_SECONDS)

    @property
    def tracebacks(self) -> list[str]:
        """What workers wrote that ended by an error that nobody expected."""
        return [
            text
            for machine in self.machines.values()
            for service in machine.services.values()
            for text in service.errors
            if "Traceback" in text
        ]
