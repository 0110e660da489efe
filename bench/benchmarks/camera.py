"""Seconds from a camera's frame until the object of its face is stored."""

import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bench.benchmark import Result, Setup
from bench.table import Table
from cli import edge_kit
from cli.edge_device import EdgeDevice
from cli.errors import CommandError
from cli.machines import machine_kind
from cli.machines.host import ask, first
from cli.paths import CHECKOUT, LocalPaths
from cli.query import read_query
from cli.stacks.local_stack import LocalStack
from local import private_file, processes
from local.ports import free_port

TITLE = "From a camera's frame to the stored object"
TEXT = """Cameras that each find a face in two frames of 0.26 MP a second, searched at 320 pixels:
a process with its spool and a broker each, as `edge-kit` configures them, with a bridge over TLS to
the local stack's broker. A camera measures, by its monotonic clock, from the frame until ingest has
confirmed that the object is stored. The figures are the largest median and the largest p99 of a
camera in a minute. All cameras, brokers, the stack, its store (moto) and its database share the
cores."""

_VISITOR = CHECKOUT / "examples/faces/data/astronaut.jpg"
_PATIENCE_SECONDS = 120


def measure(setup: Setup) -> Result:
    """Measure five cameras for two and a half minutes; two for one if `quick`."""
    count, seconds = (2, 60) if setup.quick else (5, 150)
    stack = LocalStack(LocalPaths(setup.folder / "local"))
    names = [f"camera-{number}" for number in range(1, count + 1)]
    try:
        machine_kind.choose(stack, "process", "bookworm")
        cameras = {name: {"pipeline": "pictures"} for name in names}
        settings = {
            "pictures": {"transform": "copy"},
            "image-pipeline:mqtt": {"cidrs": ["127.0.0.1/32"], "cameras": cameras},
        }
        private_file.write(stack.paths.own_pipelines, yaml.safe_dump(settings))
        stack.open().up()
        # Without a subscriber the broker acknowledges pictures and drops them; they come again
        # after half a minute.
        _await(lambda: _is_subscribed(stack), "ingest did not start")
        with ExitStack() as running:
            for name in names:
                running.enter_context(_Running(stack, name, setup.folder / name))
            time.sleep(seconds)
        return _result(stack, names, seconds)
    finally:
        stack.destroy(data=True)


class _Running:
    """A camera and its device's broker, while the context lasts."""

    def __init__(self, stack: LocalStack, name: str, folder: Path) -> None:
        self._folder, port = folder, free_port()
        folder.mkdir(mode=0o700)
        device = EdgeDevice(folder, replace(edge_kit.read(stack, name), source="pictures"))
        processes.start(folder, "broker", device.broker_command(port))
        (folder / "pictures").mkdir()
        (folder / "pictures" / _VISITOR.name).symlink_to(_VISITOR)
        changes = {"[capture]": "[capture]\nrepeat = true", "max_side = 640": "max_side = 320"}
        device.configure(port, changes)
        self._camera = subprocess.Popen(
            device.command, env=device.environment, stderr=(folder / "log").open("w")
        )

    def __enter__(self) -> "_Running":
        return self

    def __exit__(self, *_: object) -> None:
        self._camera.send_signal(signal.SIGTERM)
        self._camera.wait(_PATIENCE_SECONDS)
        processes.end(self._folder)


def _result(stack: LocalStack, names: list[str], seconds: int) -> Result:
    query = (
        "select camera, sum(generated), sum(received), "
        "array_agg(delay_median_ms), array_agg(delay_p99_ms) from camera_minutes "
        "where generated > 30 group by camera order by camera"
    )
    rows = list[list[Any]]()

    def have_arrived() -> bool:
        rows[:] = list(read_query(first(stack), query))[1:]
        return len(rows) >= len(names)

    _await(have_arrived, "the counters of some cameras did not arrive")
    lines, medians, lates = [], list[float](), list[float]()
    for camera, generated, received, middle, late in rows:
        middles, laters = _seconds(middle), _seconds(late)
        medians, lates = medians + middles, lates + laters
        cells = [f"{max(each):.2f}" for each in (middles, laters)]
        lines.append([str(camera), str(generated), str(received), *cells])
    columns = ["camera", "generated", "received", "median, s", "p99, s"]
    figures = {"median s": max(medians), "p99 s": max(lates)}
    note = f"{len(names)} cameras for {seconds} s; median of the medians: "
    note += f"{statistics.median(medians):.2f} s."
    return Result([Table("", columns, lines)], figures, notes=[note])


def _is_subscribed(stack: LocalStack) -> bool:
    try:
        found = ask(first(stack), ["status"])["ingest"]
    except CommandError:  # the machine is still being installed
        return False
    return any(not each["obstacle"] for each in found)


def _await(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{otherwise} in {_PATIENCE_SECONDS} s")
        time.sleep(1)


def _seconds(milliseconds: Any) -> list[float]:
    return [each / 1000 for each in milliseconds if each is not None]
