"""The transform `faces` as a machine runs it, and a photo of one face."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from tests.worker.pipeline import ROOT
from tests.worker.prepared import prepared
from worker import transforms
from worker.environment import Environment
from worker.sandbox.policy import make_pool
from worker.sandbox.pool import TransformPool
from worker.settings import Limits, Pipeline

DATA = ROOT / "examples/faces/data"
PORTRAIT = Image.open(DATA / "astronaut.jpg")
#: Where a person sees the face: left, upper, right, lower; within a sixth of its size.
FACE = (182, 58, 270, 178)
LIMITS = Limits(transforms.describe("faces").memory_mb)


@dataclass(frozen=True)
class Found:
    """What was made of a picture."""

    results: Sequence[bytes]
    types: Sequence[str]
    records: Sequence[Any]
    notes: Sequence[str]

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        return [
            (each["x"], each["y"], each["x"] + each["width"], each["y"] + each["height"])
            for each in self.records
        ]


class Finder:
    """The transform in the processes of a machine: confined, and with its own packages."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment: Environment | None = None
        self._pools: dict[str, TransformPool] = {}

    def __call__(
        self,
        data: bytes,
        parameters: str = "{}",
        limits: Limits = LIMITS,
        model: Path | None = None,
    ) -> Found:
        key = f"{parameters} {limits} {model}"
        if key not in self._pools:
            pipeline = Pipeline("people", "faces", "in", "out", parameters, limits=limits)
            self._environment = self._environment or prepared(pipeline)
            environment = replace(self._environment, files={"model": model} if model else {})
            self._pools[key] = make_pool(pipeline, environment, self._folder, 1)
        source = self._folder / "upload"
        source.write_bytes(data)
        made = self._pools[key].run([source], ["upload.jpg"])
        results = [path.read_bytes() for path, _ in made.files]
        return Found(results, [kind for _, kind in made.files], made.records, made.notes)

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


def assert_face(found: Found, expected: tuple[float, ...] = FACE) -> None:
    """Check that one face was found, at its place."""
    (box,) = found.boxes
    tolerance = max(3, (expected[2] - expected[0]) / 6)
    assert max(abs(a - b) for a, b in zip(box, expected, strict=True)) <= tolerance, box
