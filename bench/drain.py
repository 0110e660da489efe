"""Images a second and peak memory of one pass over many small photos, on this machine's own S3
server and PostgreSQL.

python -m bench.drain [--count 1000] [--store moto|rclone] [--no-versions]

Formats are mixed (JPEG, PNG, GIF, BMP, TIFF, WebP; 320 x 240 pixels, all of distinct bytes). The
time is the whole process's, from its start to its end, so start-up counts. The memory is the
largest sum of PSS (proportional set size: shared pages counted once) over the worker and its
children, sampled every 20 ms.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from local import object_store, postgres
from tests.worker.pictures import encode, picture
from tests.worker.pipeline import Pipeline

FORMATS: dict[str, tuple[str, dict[str, object]]] = {
    "jpg": ("JPEG", {"quality": 90}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tif": ("TIFF", {"compression": "tiff_lzw"}),
    "webp": ("WEBP", {"lossless": True}),
}


@dataclass(frozen=True)
class Measured:
    """One pass."""

    seconds: float
    peak_pss: int  # bytes


def photos(count: int, size: tuple[int, int] = (320, 240)) -> dict[str, bytes]:
    """Keys and distinct photos, a format after the other."""
    made = {}
    for number in range(count):
        ending = list(FORMATS)[number % len(FORMATS)]
        kind, options = FORMATS[ending]
        made[f"{number:06d}.{ending}"] = encode(picture(number, size), kind, **options)
    return made


def put_all(pipeline: Pipeline, uploads: dict[str, bytes]) -> None:
    """Upload, a few at a time."""
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda item: pipeline.put(*item), uploads.items()))


def measure(pipeline: Pipeline) -> Measured:
    """One pass of the real worker, watched."""
    start, peak = time.monotonic(), 0
    with (pipeline.folder / "pass.log").open("w") as log:
        process = pipeline.popen("drain", stdout=log)
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, _pss(watched))
            time.sleep(0.02)
        _, err = process.communicate()
    assert process.returncode == 0, err  # noqa: S101
    return Measured(time.monotonic() - start, peak)


def _pss(process: psutil.Process) -> int:
    total = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text()
            total += 1024 * int(text.partition("\nPss:")[2].split()[0])
    except (OSError, psutil.Error, IndexError):
        return 0  # one ended while we looked: the next sample tells
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--store", choices=["moto", "rclone"], default="moto")
    parser.add_argument("--no-versions", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            store = object_store.start(folder / "store", options.store)
            server = postgres.start(folder / "postgres")
            versions = options.store == "moto" and not options.no_versions
            with Pipeline(folder / "worker", store, server, versions=versions) as pipeline:
                pipeline.migrate()
                put_all(pipeline, photos(options.count))
                found = measure(pipeline)
                assert pipeline.left() == []  # noqa: S101
                assert len(pipeline.rows()) == options.count  # noqa: S101
        finally:
            object_store.stop(folder / "store")
            postgres.stop(folder / "postgres")
    rate = options.count / found.seconds
    memory = found.peak_pss / 2**20
    print(f"{options.count} photos: {found.seconds:.1f} s, {rate:.0f} a second, {memory:.0f} MB")


if __name__ == "__main__":
    main()
