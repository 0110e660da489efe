"""Messages that ingest stores in a second, beside a loop of paho and boto3's PUT."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from bench.benchmark import Result, Setup
from bench.broker import LOG, broker, publish
from bench.pipeline import ROOT
from bench.table import Table
from bench.testbed import Testbed

TITLE = "Messages of cameras"
TEXT = """Messages of 200 KB that wait in the broker are stored: by `worker ingest`, and by what
people write instead: paho's loop, which puts each message with boto3 and then acknowledges it
(`bench/mqtt_loop.py`). Turn by turn, the median of the turns. Each has one core; the broker, the
store (rclone) and PostgreSQL have the others. The time runs from a tenth of the objects to the
last, so that neither's start counts."""

OURS, LOOP = "worker ingest", "paho and boto3"
_BYTES = 200_000
_PATIENCE_SECONDS = 300


def measure(setup: Setup) -> Result:
    """Alternate both."""
    turns, count = (1, 100) if setup.quick else (5, 400)
    count = setup.count or count
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[1:] or cores)  # servers inherit it
    measured: dict[str, list[_Rate]] = {OURS: [], LOOP: []}
    try:
        with Testbed(setup.folder, setup.source) as bed, broker(setup.folder) as (port, _):
            log = setup.folder / LOG
            consumers = {
                OURS: _Consumer("image-pipeline/", "", log, _ingest(bed, port, cores[0])),
                LOOP: _Consumer("loop/", "loop/", log, _loop(bed, port, cores[0])),
            }
            bucket = setup.folder / "store" / "objects" / bed.pipeline.input
            for turn in range(-1, turns):  # the first, of one message, makes the session
                for name, consumer in consumers.items():
                    many = count if turn >= 0 else 1
                    rate = _run(consumer, port, bucket, f"turn{turn}", many)
                    if turn >= 0:
                        measured[name].append(rate)
    finally:
        os.sched_setaffinity(0, cores)
    figures, lines = dict[str, float](), []
    for name, rates in measured.items():
        second, cpu = median(one.second for one in rates), median(one.cpu_ms for one in rates)
        figures |= {f"{name}: a second": second, f"{name}: CPU ms": cpu}
        lines.append([name, f"{second:.0f}", f"{cpu:.2f}"])
    pairs = zip(measured[OURS], measured[LOOP], strict=True)
    figures["times"] = median(ours.second / loop.second for ours, loop in pairs)
    table = Table("", ["", "messages a second", "CPU ms a message"], lines)
    note = f"{figures['times']:.2f} times as many messages a second, in the same turn."
    return Result([table], figures, notes=[note])


@dataclass(frozen=True)
class _Rate:
    """Messages a second, and CPU milliseconds of each."""

    second: float
    cpu_ms: float


@dataclass(frozen=True)
class _Consumer:
    """Who stores messages: of which topics, under which keys; the broker's log; how it starts."""

    topics: str
    keys: str
    log: Path
    start: Callable[[], "subprocess.Popen[str]"]


def _ingest(bed: Testbed, port: int, core: int) -> Callable[[], "subprocess.Popen[str]"]:
    pipeline = bed.pipeline
    pipeline.tables["cameras.door"] = {"pipeline": "negatives"}
    pipeline.configure()
    (pipeline.folder / "credentials" / "broker-password").write_text("it asks for none")

    def start() -> "subprocess.Popen[str]":
        process = pipeline.popen("ingest", "--port", str(port), stdout=subprocess.DEVNULL)
        psutil.Process(process.pid).cpu_affinity([core])
        return process

    return start


def _loop(bed: Testbed, port: int, core: int) -> Callable[[], "subprocess.Popen[str]"]:
    place = json.dumps(vars(bed.store) | {"bucket": bed.pipeline.input})

    def start() -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "bench.mqtt_loop", str(port)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, text=True, cwd=ROOT)
        psutil.Process(process.pid).cpu_affinity([core])
        assert process.stdin  # noqa: S101
        process.stdin.write(place)
        process.stdin.close()
        return process

    return start


def _run(consumer: _Consumer, port: int, bucket: Path, boot: str, count: int) -> _Rate:
    """Fill the queue of a consumer, and let it store everything."""
    folder = bucket / consumer.keys / "door" / boot
    process = None
    try:
        if count == 1:  # there is no session yet
            process = consumer.start()
            _await_subscription(consumer.log, consumer.topics, process)
        topics = (f"{consumer.topics}door/{boot}/{number}" for number in range(1, count + 1))
        publish(port, ((topic, secrets.token_bytes(_BYTES)) for topic in topics))
        process = process or consumer.start()
        begin = _await(folder, max(1, count // 10), process)
        end = _await(folder, count, process)
    finally:
        if process:
            process.terminate()
            process.wait()
    shutil.rmtree(folder)
    done = max(1, end.count - begin.count)
    return _Rate(done / (end.moment - begin.moment or 1), 1000 * (end.cpu - begin.cpu) / done)


@dataclass(frozen=True)
class _State:
    """How many objects there are, when, and how much CPU time the consumer has used."""

    count: int
    moment: float
    cpu: float


def _await_subscription(log: Path, topics: str, process: "subprocess.Popen[str]") -> None:
    """Wait until the broker has logged the subscription: what is published before is lost."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if log.is_file() and f" {topics}" in log.read_text():
            return
        time.sleep(0.02)
    raise RuntimeError(f"nobody has subscribed to {topics}#")


def _await(folder: Path, count: int, process: "subprocess.Popen[str]") -> _State:
    """Wait for a number of objects."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = sum(1 for _ in folder.iterdir()) if folder.exists() else 0
        if found >= count:
            used = psutil.Process(process.pid).cpu_times()
            return _State(found, time.monotonic(), used.user + used.system)
        time.sleep(0.01)
    raise RuntimeError(f"there are not {count} objects in {folder}")
