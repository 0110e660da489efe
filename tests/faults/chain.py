"""Three pipelines: the second reads the first one's results, the third gathers the second one's.

The transform of the first two negates a picture twice, that of the third hashes all members of a
run; they make other bytes each time, so that two attempts cannot be mistaken for one.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from bench import workflow
from bench.evidence import LEFTOVERS, PipelineEvidence
from bench.oracle import Oracle, Rules, Uploads, sha256
from bench.proxy import Act, Proxy
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline

FIRST, SECOND, THIRD = "negatives", "second", "third"
GOOD, BAD, DELETED = "a/x.png", "b.png", "deleted.png"
BROKEN, RAISES, HUNGRY = b"no picture", b"raise an error", b"take all memory"
REASONS = {BROKEN: "^no picture$", RAISES: "^LookupError: ", HUNGRY: "memory"}
TABLES = (
    "results",
    "outputs",
    "records",
    "heartbeats",
    "retries",
    "gathers",
    "leases",
    "lost_leases",
    "listers",
    "procrastinate_jobs",  # with assignments
    "procrastinate_workers",
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


JOIN = """
import hashlib
import os
from worker.transforms import Produced

def apply(inputs, outputs, parameters):
    content = b"+".join(one.path.read_bytes() for one in inputs)
    text = hashlib.sha256(content).hexdigest() + os.urandom(16).hex()
    (outputs / "hash").write_text(text)
    return Produced([(outputs / "hash", "text/plain")], [{"of": len(inputs)}])
"""
_TRANSFORMS = {"random": (CODE, "picture"), "join": (JOIN, "model")}


def package(folder: Path) -> Path:
    """Make a folder with the worker's package and two more transforms, `random` and `join`."""
    return workflow.package(folder, transforms=_TRANSFORMS)


def is_made_of(results: Sequence[bytes], content: bytes) -> bool:
    """Return whether all results show the negative of a picture."""
    is_picture = content not in REASONS
    return is_picture and all(error(decode(one), negated(content)) == 0 for one in results)


def is_hash_of(results: Sequence[bytes], content: bytes) -> bool:
    """Return whether all results begin with the hash of the members."""
    return all(one.startswith(sha256(content).encode()) for one in results)


class Chain:
    """The pipelines; the first one keeps its inputs."""

    def __init__(self, pipeline: Pipeline, folder: Path) -> None:
        self.pipeline = pipeline
        self.archive = f"{pipeline.name}-archive"
        pipeline.make_bucket(self.archive)
        pipeline.tables["store"] = {"archive": self.archive}
        buckets = workflow.configure(
            pipeline,
            folder,
            {
                FIRST: {"transform": "random", "readers": [SECOND], "keep_inputs": True},
                SECOND: {"transform": "random", "sources": [FIRST], "readers": [THIRD]},
                THIRD: {
                    "transform": "join",
                    "sources": [SECOND],
                    "gather": True,
                    "output_key": "{run}/{name}",
                },
            },
        )
        of_second, of_third = buckets[SECOND], buckets[THIRD]
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
                SECOND: Rules(
                    of_second["input"], of_second["output"], REASONS.get, is_made_of, result_count=2
                ),
                THIRD: Rules(
                    of_third["input"],
                    of_third["output"],
                    lambda _: None,
                    is_hash_of,
                    gathers=[SECOND],
                ),
            },
            pipeline.quarantine,
            self.archive,
        )
        self.uploads = Uploads()
        self._seed = 0

    def begin(self) -> None:
        """Remove what an earlier case left, and upload a picture, a bad file and a deleted one."""
        tables = ", ".join(f"pipeline.{one}" for one in TABLES)
        self.pipeline.sql(f"TRUNCATE {tables} CASCADE")
        self.pipeline.sql(  # runs that end from now on are gathered
            "INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass) "  # noqa: S608
            f"VALUES ('{self.pipeline.name}', '{THIRD}', 'vm-1', now())"
        )
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
            self.put(FIRST, DELETED, encode(picture(self._seed + 10**6), "PNG"))
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

    def share(self, name: str, machines: Sequence[str], lister: str) -> None:
        """Let the machines that start now work together on a pipeline, and one of them list.

        It does so however late it starts, until `end_share`, unless its first request has shortened
        its lease to the usual time.
        """
        for machine in machines:
            self.show_alive(name, machine)
        self.pipeline.sql(
            "INSERT INTO pipeline.listers (stack, pipeline, machine, until) "
            "VALUES (%s, %s, %s, now() + interval '1 hour')",
            *(self.pipeline.name, name, lister),
        )

    def end_share(self) -> None:
        """Let another machine list in ten seconds, where the first has not come so far."""
        self.pipeline.sql(
            "UPDATE pipeline.listers SET until = least(until, now() + interval '10 seconds')"
        )

    def show_alive(self, name: str, machine: str) -> None:
        """Write a heartbeat of a machine."""
        self.pipeline.sql(
            "INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass, live) "
            "VALUES (%s, %s, %s, now(), true) ON CONFLICT (stack, pipeline, machine) "
            "DO UPDATE SET last_pass = now(), live = true",
            *(self.pipeline.name, name, machine),
        )

    def let_expire(self, machine: str) -> None:
        """Let all that a machine has leased end, as if it had been silent for 30 seconds."""
        for table in ("leases", "gathers", "listers"):
            self.pipeline.sql(
                f"UPDATE pipeline.{table} SET until = now() - interval '1 s' WHERE machine = %s",  # noqa: S608
                machine,
            )

    def left(self, name: str) -> list[str]:
        """Return the keys of the input bucket of a pipeline."""
        return self.pipeline.keys(self.oracle.pipelines[name].input)

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

    def drain_before(self, name: str) -> None:
        """Make a clean pass of each pipeline upstream of one."""
        names = (FIRST, SECOND, THIRD)
        for one in names[: names.index(name)]:
            self.pipeline.drain(pipeline=one)

    def start(self, name: str, linger: float = 0) -> subprocess.Popen[str]:
        """Start a pass of a pipeline on the machine `vm-1`."""
        return self.pipeline.popen("drain", "--pipeline", name, "--linger", str(linger))

    def start_elsewhere(
        self, name: str, machine: str = "vm-2", linger: float = 0
    ) -> subprocess.Popen[str]:
        """Start a pass on another machine, which reaches all servers directly."""
        place = self.pipeline.folder / machine
        own = self.pipeline.write_settings(place, top={"machine": machine})
        arguments = ("drain", "--pipeline", name, "--linger", str(linger))
        return self.pipeline.popen("--settings", str(own), *arguments)

    def finish(self) -> None:
        """Make a clean pass of each pipeline, and check that everything is exact.

        What was stored under a lost lease is deleted in the pass after the one that does the job.
        """
        for name in (FIRST, SECOND, THIRD):
            self.pipeline.drain(pipeline=name)
        for lost in self.pipeline.sql("SELECT DISTINCT pipeline FROM pipeline.lost_leases"):
            self.pipeline.drain(pipeline=lost["pipeline"])
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
