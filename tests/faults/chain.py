"""Two pipelines, the second of which reads the first one's results, and the oracle's view of them.

Their transform negates a picture twice, and makes other bytes each time, so that two attempts
cannot be mistaken for one.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench.evidence import LEFTOVERS, PipelineEvidence
from bench.oracle import Oracle, Rules, Uploads
from bench.proxy import Act, Proxy
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import ROOT, Pipeline

FIRST, SECOND = "negatives", "second"
GOOD, BAD, DELETED = "a/x.png", "b.png", "deleted.png"
COPIES = [f"{GOOD}.{number}.png" for number in (1, 2)]
BROKEN, RAISES, HUNGRY = b"no picture", b"raise an error", b"take all memory"
REASONS = {BROKEN: "^no picture$", RAISES: "^LookupError: ", HUNGRY: "memory"}
TABLES = (
    "results",
    "outputs",
    "records",
    "heartbeats",
    "retries",
    "leases",
    "lost_leases",
    *LEFTOVERS,
)
CODE = """
import os
from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo
from worker.errors import InvalidInput
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    (source,) = inputs
    content = source.path.read_bytes()
    if content == b"raise an error":
        raise LookupError("on purpose")
    if content == b"take all memory":
        bytearray(1 << 40)
    try:
        negative = ImageChops.invert(Image.open(source.path).convert("RGB"))
    except OSError:
        raise InvalidInput("no picture") from None
    files = []
    for name in ("one", "two"):
        text = PngInfo()
        text.add_text("dice", os.urandom(16).hex())
        negative.save(outputs / name, "PNG", pnginfo=text)
        files.append((outputs / name, "image/png"))
    return Produced(files, [{"of": source.name, "dice": os.urandom(4).hex()}], ["at random"])
"""


def package(folder: Path) -> Path:
    """Make a folder with the worker's package and one more transform, `random`."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so")
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=ignored)
    transform = folder / "worker" / "transforms" / "random"
    transform.mkdir()
    (transform / "__init__.py").write_text(CODE)
    (transform / "transform.toml").write_text('summary = "random"\npolicy = "picture"\n')
    return folder


def is_made_of(results: Sequence[bytes], content: bytes) -> bool:
    """Return whether all results show the negative of a picture."""
    return all(error(decode(result), negated(content)) == 0 for result in results)


class Chain:
    """Both pipelines; the first one keeps its inputs."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.pipeline = pipeline
        pipeline.environment["PYTHONPATH"] = str(folder)
        names = ("input", "output")
        self.input, self.output = (f"{pipeline.name}-2-{name}" for name in names)
        self.archive = f"{pipeline.name}-archive"
        for bucket in (self.input, self.output, self.archive):
            pipeline.make_bucket(bucket)
        if pipeline.versions:
            for bucket in (self.input, self.output):
                pipeline.enable_versions(bucket)
        of_second: dict[str, object] = {"transform": "random", "input": self.input}
        pipeline.tables = {
            "store": {"archive": self.archive},
            "pipeline": {"transform": "random", "readers": [SECOND], "keep_inputs": True},
            f"pipelines.{SECOND}": of_second | {"output": self.output, "sources": [FIRST]},
        }
        pipeline.configure()
        pipeline.migrate()
        self.oracle = Oracle(
            {
                FIRST: Rules(
                    pipeline.input,
                    pipeline.output,
                    REASONS.get,
                    is_made_of,
                    readers={SECOND: ""},
                    keeps_inputs=True,
                    result_count=2,
                ),
                SECOND: Rules(self.input, self.output, REASONS.get, is_made_of, result_count=2),
            },
            pipeline.quarantine,
            self.archive,
        )
        self.uploads = Uploads()
        self._seed = 0

    def begin(self) -> None:
        """Remove what an earlier case left, and upload a picture, a bad file and a deleted one."""
        self.pipeline.sql("TRUNCATE " + ", ".join(f"pipeline.{one}" for one in TABLES))
        for rules in self.oracle.pipelines.values():
            self._empty(rules.input)
            self._empty(rules.output)
        self._empty(self.oracle.quarantine)
        self._empty(self.archive)
        self.pipeline.configure()
        self.uploads = Uploads()
        self._seed += 1
        self.put(FIRST, GOOD, encode(picture(self._seed), "PNG"))
        self.put(FIRST, BAD, BROKEN)
        if self.pipeline.versions:
            self.put(FIRST, DELETED, encode(picture(-self._seed), "PNG"))
            self.delete(FIRST, DELETED)

    def put(self, name: str, key: str, content: bytes) -> None:
        """Upload as a user does."""
        bucket = self.oracle.pipelines[name].input
        answer = self.pipeline.s3.put_object(Bucket=bucket, Key=key, Body=content)
        self.uploads.put(name, key, content, str(answer.get("VersionId", "")))

    def delete(self, name: str, key: str) -> None:
        """Delete as a user does."""
        self.pipeline.s3.delete_object(Bucket=self.oracle.pipelines[name].input, Key=key)
        self.uploads.delete(name, key)

    @contextmanager
    def through(self, peer: str, act: Act) -> Iterator[Proxy]:
        """Let the workers that start now reach the store or the database through a proxy."""
        url, server = urlsplit(self.pipeline.store.endpoint), self.pipeline.server
        with ExitStack() as stack:
            if peer == "store":
                proxy = stack.enter_context(Proxy(str(url.hostname), int(url.port or 0), act))
                self.pipeline.configure(store={"endpoint": f"http://127.0.0.1:{proxy.port}"})
            else:
                proxy = stack.enter_context(Proxy(server.host, server.port, act))
                self.pipeline.configure(database={"port": proxy.port})
            stack.callback(self.pipeline.configure)
            yield proxy

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start a pass of a pipeline."""
        return self.pipeline.popen("drain", "--pipeline", name)

    def start_elsewhere(self, name: str) -> subprocess.Popen[str]:
        """Start a pass on another machine, which reaches all servers directly."""
        settings, place = self.pipeline.settings, self.pipeline.folder / "vm-2"
        before = settings.read_text()
        self.pipeline.configure()
        shutil.copytree(settings.parent / "credentials", place / "credentials", dirs_exist_ok=True)
        own = place / "worker.toml"
        own.write_text(settings.read_text().replace('"vm-1"', '"vm-2"'))
        settings.write_text(before)
        return self.pipeline.popen("--settings", str(own), "drain", "--pipeline", name)

    def finish(self) -> None:
        """Make a clean pass of each pipeline, and check that everything is exact."""
        for name in (FIRST, SECOND):
            self.pipeline.drain(pipeline=name)
        found = self.oracle.problems(self.uploads, PipelineEvidence(self.pipeline))
        assert not found, "\n".join(found)

    def _empty(self, bucket: str) -> None:
        pipeline, s3 = self.pipeline, self.pipeline.s3
        if not pipeline.versions:
            for key in pipeline.keys(bucket):
                s3.delete_object(Bucket=bucket, Key=key)
            return
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            for line in page.get("Versions", []) + page.get("DeleteMarkers", []):
                s3.delete_object(Bucket=bucket, Key=line["Key"], VersionId=line["VersionId"])
