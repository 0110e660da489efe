"""Stacks of several pipelines, for tests and benchmarks.

Their transforms are added to a copy of the worker's package.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.pipeline import ROOT, WorkerPipeline

SPLIT = """
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    files = []
    for number, line in enumerate(inputs[0].path.read_text().splitlines()):
        (outputs / str(number)).write_text(line)
        files.append((outputs / str(number), "text/plain"))
    print("lines:", len(files))
    return Produced(files)
"""
TRAIN = """
from worker.errors import InvalidInput
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    text = inputs[0].path.read_text()
    if text == "bad":
        raise InvalidInput("a bad line")
    (outputs / "model").write_text(text.upper())
    return Produced([(outputs / "model", "text/plain")], [{"rows": len(text)}])
"""
JOIN = """
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    lines = [one.name + "=" + one.path.read_text() for one in inputs]
    (outputs / "all").write_text("\\n".join(lines))
    return Produced([(outputs / "all", "text/plain")])
"""
# As expensive as finding faces in a photo.
BUSY = """
import hashlib
import time
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    content, end = inputs[0].path.read_bytes(), time.process_time() + 0.08
    while time.process_time() < end:
        content = hashlib.sha256(content * 64).digest()
    (outputs / "digest").write_bytes(content)
    return Produced([(outputs / "digest", "application/octet-stream")])
"""
#: Name -> code and policy.
TRANSFORMS = {
    "split": (SPLIT, "model"),
    "train": (TRAIN, "model"),
    "join": (JOIN, "model"),
    "busy": (BUSY, "model"),
}
LINES = b"one\ntwo\nbad\n"


def package(
    folder: Path, source: Path = ROOT, transforms: Mapping[str, tuple[str, str]] = TRANSFORMS
) -> Path:
    """Make a folder with the worker's package and further transforms.

    Args:
        folder: The folder; it has no package yet.
        source: The folder of the worker's package.
        transforms: Name -> code and policy.

    Returns:
        The folder.
    """
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source / "worker", folder / "worker", ignore=ignored)
    for name, (code, policy) in transforms.items():
        transform = folder / "worker" / "transforms" / name
        transform.mkdir()
        (transform / "__init__.py").write_text(code)
        (transform / "transform.toml").write_text(f'summary = "{name}"\npolicy = "{policy}"\n')
    return folder


def make_workflow(pipeline: WorkerPipeline, folder: Path) -> None:
    """Let a stack split texts, train on each line, and gather: negatives → train → model.

    Args:
        pipeline: The stack's first pipeline.
        folder: From `package`.
    """
    configure(
        pipeline,
        folder,
        {
            "negatives": {"transform": "split", "readers": ["train"]},
            "train": {"transform": "train", "sources": ["negatives"], "readers": ["model"]},
            "model": {
                "transform": "join",
                "sources": ["train"],
                "gather": True,
                "output_key": "{run}/{name}",
            },
        },
    )


def configure(
    pipeline: WorkerPipeline, folder: Path, pipelines: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, str]]:
    """Give a stack further pipelines and their buckets.

    Args:
        pipeline: The stack's first pipeline.
        folder: The folder of the worker's package.
        pipelines: Their tables without the buckets; `negatives` is the first one.

    Returns:
        Name of a further pipeline -> role -> its bucket.
    """
    pipeline.environment["PYTHONPATH"] = str(folder)
    buckets = {
        name: {role: f"{pipeline.name}-{name}-{role}" for role in ("input", "output")}
        for name in pipelines
        if name != "negatives"
    }
    for bucket in (bucket for roles in buckets.values() for bucket in roles.values()):
        pipeline.make_bucket(bucket)
        if pipeline.versions:
            pipeline.enable_versions(bucket)
    pipeline.tables["pipeline"] = dict(pipelines["negatives"])
    for name, roles in buckets.items():
        pipeline.tables[f"pipelines.{name}"] = {**pipelines[name], **roles}
    pipeline.configure()
    return buckets
