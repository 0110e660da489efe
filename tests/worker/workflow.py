"""A workflow of three pipelines: a text is split into lines, each is trained on, all are joined.

Their transforms are added to a copy of the worker's package.
"""

import shutil
from pathlib import Path

from tests.worker.pipeline import ROOT, Pipeline

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
TRANSFORMS = {"split": SPLIT, "train": TRAIN, "join": JOIN}
LINES = b"one\ntwo\nbad\n"


def package(folder: Path) -> Path:
    """Make a folder with the worker's package and the workflow's transforms."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=ignored)
    for name, code in TRANSFORMS.items():
        transform = folder / "worker" / "transforms" / name
        transform.mkdir()
        (transform / "__init__.py").write_text(code)
        (transform / "transform.toml").write_text(f'summary = "{name}"\npolicy = "model"\n')
    return folder


def make_workflow(pipeline: Pipeline, folder: Path) -> None:
    """Configure the stack of a pipeline, which becomes the first: negatives → train → model."""
    pipeline.environment["PYTHONPATH"] = str(folder)
    tables: dict[str, dict[str, object]] = {
        "pipeline": {"transform": "split", "readers": ["train"]},
        "pipelines.train": {"transform": "train", "sources": ["negatives"], "readers": ["model"]},
        "pipelines.model": {
            "transform": "join",
            "sources": ["train"],
            "gather": True,
            "output_key": "{run}/{name}",
        },
    }
    for name in ("train", "model"):
        buckets = {role: f"{pipeline.name}-{name}-{role}" for role in ("input", "output")}
        tables[f"pipelines.{name}"] |= buckets
        for bucket in buckets.values():
            pipeline.make_bucket(bucket)
            if pipeline.versions:
                pipeline.enable_versions(bucket)
    pipeline.tables = tables
    pipeline.configure()
    pipeline.drain(pipeline="model")  # runs that end from now on are gathered
