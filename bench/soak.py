"""A stack under random load and faults: users, workers on several machines, failing servers."""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil
from PIL import Image, ImageChops

from bench import usage
from bench.evidence import PipelineEvidence
from bench.oracle import Oracle, Rules, Uploads
from bench.pipeline import WorkerPipeline
from bench.proxy import Break, Fault, Proxy, Response
from bench.workflow import configure
from local import object_store, postgres

_FIRST, _SECOND = "negatives", "second"
_STEADY = ("vm-3", _FIRST)  # meets no faults, so that its use of resources can be compared
_KEYS = 60
_FROZEN_SECONDS = 3
_CLEAN_PASSES = 3
_SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 37\r\nConnection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code></Error>\n"
)
_FAULTS: Sequence[Fault] = (Response(_SLOW_DOWN), Break("reset"), Break("close", 4))


@dataclass(frozen=True)
class Sample:
    """Resources at a moment."""

    memory: int  # bytes (PSS) of the steady worker and its transforms
    descriptors: int  # its open files and sockets
    connections: int  # sessions of all workers at the database


class Soak:
    """Pipelines whose workers are killed, frozen and disconnected, until `finish`.

    Args:
        folder: The folder of the servers and the workers.
        source: The folder of the worker's code.
        seed: Determines load and faults.
    """

    def __init__(self, folder: Path, source: Path, seed: int) -> None:
        self._folder, self._source = folder, source
        self._dice = random.Random(seed)  # noqa: S311
        self._uploads = Uploads()
        self._stack = ExitStack()
        self._are_faults_on = True
        self._workers: dict[tuple[str, str], subprocess.Popen[bytes]] = {}
        self._frozen: dict[tuple[str, str], float] = {}
        self.counts = dict.fromkeys(("uploads", "faults", "passes"), 0)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            store = object_store.start(self._folder / "store", "moto")
            stack.callback(object_store.stop, self._folder / "store")
            database = postgres.start(self._folder / "database")
            stack.callback(postgres.stop, self._folder / "database")
            self._pipeline = WorkerPipeline(self._folder / "any", store, database, versions=True)
            stack.enter_context(self._pipeline)
            self._make_second()
            url = urlsplit(store.endpoint)
            store_proxy = Proxy(str(url.hostname), int(url.port or 0), self._spoil)
            database_proxy = Proxy(database.host, database.port, self._spoil)
            ports = [stack.enter_context(one).port for one in (store_proxy, database_proxy)]
            self._settle(*ports)
            stack.callback(self._kill)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _make_second(self) -> None:
        pipeline = self._pipeline
        pipelines: dict[str, dict[str, object]] = {
            _FIRST: {"transform": "negate", "readers": [_SECOND]},
            _SECOND: {"transform": "negate", "sources": [_FIRST]},
        }
        buckets = configure(pipeline, self._source, pipelines)[_SECOND]
        pipeline.migrate()
        rules = (_rejection, _is_made_of)
        first = Rules(pipeline.input, pipeline.output, *rules, readers={_SECOND: ""})
        second = Rules(buckets["input"], buckets["output"], *rules)
        self._oracle = Oracle({_FIRST: first, _SECOND: second}, pipeline.quarantine)

    def _settle(self, store_port: int, database_port: int) -> None:
        """Write the settings of every machine's workers: all but the steady one use the proxies."""
        pipeline = self._pipeline
        direct = pipeline.settings.read_text()
        store: dict[str, object] = {"endpoint": f"http://127.0.0.1:{store_port}"}
        pipeline.configure(store=store, database={"port": database_port})
        proxied = pipeline.settings.read_text()
        slots = [(machine, name) for machine in ("vm-1", "vm-2") for name in (_FIRST, _SECOND)]
        for machine, name in (*slots, _STEADY):
            place = self._place((machine, name))
            place.mkdir(parents=True)
            text = direct if (machine, name) == _STEADY else proxied
            (place / "worker.toml").write_text(text.replace('"vm-1"', f'"{machine}"'))
            shutil.copytree(pipeline.folder / "credentials", place / "credentials")
        self._slots = [*slots, _STEADY]
        pipeline.configure()

    def _place(self, slot: tuple[str, str]) -> Path:
        return self._folder / "machines" / "-".join(slot)

    def run(self, seconds: float, step: float = 0.2) -> list[Sample]:
        """Let users and faults act; return samples, one a second."""
        end, samples, next_sample = time.monotonic() + seconds, [], 0.0
        while (now := time.monotonic()) < end:
            self._restart("drain", "--linger", "3600")
            self._act_as_user()
            if self._dice.random() < step / 5:
                self._disturb()
            for slot, until in list(self._frozen.items()):
                if until < now:
                    self._signal(slot, signal.SIGCONT)
                    del self._frozen[slot]
            if now >= next_sample:
                samples.append(self._sample())
                next_sample = now + 1
            time.sleep(step)
        return samples

    def finish(self) -> list[str]:
        """End all workers, make clean passes, and return what the oracle finds wrong."""
        self._are_faults_on = False
        for slot in self._slots:
            self._signal(slot, signal.SIGCONT)
            self._signal(slot, signal.SIGTERM)
        for worker in self._workers.values():
            worker.wait(timeout=60)
        for _ in range(_CLEAN_PASSES):
            self._restart("drain")
            for worker in self._workers.values():
                worker.wait(timeout=300)
        return self._oracle.problems(self._uploads, PipelineEvidence(self._pipeline))

    def _restart(self, *arguments: str) -> None:
        """Start the workers that have ended, as their timers do."""
        for slot in self._slots:
            worker = self._workers.get(slot)
            if worker is None or worker.poll() is not None:
                with (self._place(slot) / "log").open("ab") as log:
                    self._workers[slot] = self._start(slot, arguments, log.fileno())
                self.counts["passes"] += 1

    def _start(
        self, slot: tuple[str, str], arguments: Sequence[str], log: int
    ) -> "subprocess.Popen[bytes]":
        settings = str(self._place(slot) / "worker.toml")
        command = [*self._pipeline.command, "--settings", settings, *arguments]
        return subprocess.Popen(
            [*command, "--pipeline", slot[1]],
            stdout=log,
            stderr=log,
            cwd=self._place(slot),
            env=self._pipeline.process_environment,
        )

    def _act_as_user(self) -> None:
        dice, pipeline = self._dice, self._pipeline
        key = f"{dice.randrange(_KEYS)}.png"
        if dice.random() < 0.1:  # noqa: PLR2004
            pipeline.s3.delete_object(Bucket=pipeline.input, Key=key)
            self._uploads.delete(_FIRST, key)
            return
        self.counts["uploads"] += 1
        content = _photo(dice) if dice.random() < 0.9 else b"no picture " + dice.randbytes(9)  # noqa: PLR2004
        answer = pipeline.s3.put_object(Bucket=pipeline.input, Key=key, Body=content)
        self._uploads.put(_FIRST, key, content, str(answer["VersionId"]))

    def _spoil(self, _turn: int, _phase: str, request: bytes) -> Fault | None:
        """Spoil one request in a hundred."""
        if not self._are_faults_on or random.random() > 0.01:  # noqa: PLR2004, S311
            return None
        self.counts["faults"] += 1
        is_http = b" HTTP/1.1" in request
        return random.choice(_FAULTS) if is_http else Break("reset")  # noqa: S311

    def _disturb(self) -> None:
        """Kill, end or freeze a worker, or kill its transforms."""
        self.counts["faults"] += 1
        slot = self._dice.choice(self._slots[:-1])
        kinds: Sequence[Callable[[], None]] = (
            lambda: self._signal(slot, signal.SIGKILL),
            lambda: self._signal(slot, signal.SIGTERM),
            lambda: self._freeze(slot),
        )
        self._dice.choice(kinds)()

    def _freeze(self, slot: tuple[str, str]) -> None:
        """Freeze a worker, and end its leases, as if it were frozen for longer."""
        self._signal(slot, signal.SIGSTOP)
        self._frozen[slot] = time.monotonic() + _FROZEN_SECONDS
        machine, name = slot
        self._pipeline.sql(
            "UPDATE pipeline.leases SET until = now() WHERE machine = %s AND pipeline = %s",
            machine,
            name,
        )

    def _signal(self, slot: tuple[str, str], number: int) -> None:
        worker = self._workers.get(slot)
        if worker and worker.poll() is None:
            worker.send_signal(number)

    def _kill(self) -> None:
        for slot in self._slots:
            self._signal(slot, signal.SIGKILL)
        for worker in self._workers.values():
            worker.wait()

    def _sample(self) -> Sample:
        pid = self._workers[_STEADY].pid
        descriptors = 0
        with suppress(psutil.Error):
            descriptors = psutil.Process(pid).num_fds()
        (sessions,) = self._pipeline.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pipeline-worker'"
        )
        return Sample(usage.pss(pid), descriptors, sessions["count"])


def _photo(dice: random.Random) -> bytes:
    image = Image.frombytes("RGB", (4, 3), dice.randbytes(36)).resize((160, 120))
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _rejection(content: bytes) -> str | None:
    return "." if content.startswith(b"no picture") else None


def _is_made_of(results: Sequence[bytes], content: bytes) -> bool:
    """Return whether results show the negative of a picture."""
    negative = ImageChops.invert(Image.open(BytesIO(content)).convert("RGB"))
    shown = [Image.open(BytesIO(result)).convert("RGB") for result in results]
    return all(ImageChops.difference(one, negative).getbbox() is None for one in shown)
