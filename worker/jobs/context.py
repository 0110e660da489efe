"""What all jobs of a pass share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.jobs.disk import Space
from worker.jobs.request_threads import RequestThreads
from worker.jobs.work_queue import BATCH_UPLOADS
from worker.ledger.ledger import Ledger, Maker
from worker.ledger.runs import Upstream
from worker.sandbox.pool import TransformPool
from worker.settings import Pipeline
from worker.store.store import Store


@dataclass(frozen=True)
class Reader:
    """A pipeline that gets a copy of each result of this one.

    Attributes:
        name: Its name.
        bucket: Its input bucket.
        prefix: Before the key of each copy: "", or, if the reader has several sources, the name of
            this pipeline and "/".
    """

    name: str
    bucket: str
    prefix: str = ""


@dataclass(frozen=True)
class Context:
    """What all jobs of a pass share.

    Attributes:
        store: The object store.
        pipeline: The pipeline's settings.
        readers: The pipelines that get copies of its results.
        upstream: If it gathers, what is upstream of it.
        requests: If it gathers, makes the requests for the members.
        quarantine: The bucket of uploads that cannot be transformed.
        archive: The bucket of kept inputs.
        ledger: The pipeline's ledger.
        pool: What runs the transform.
        maker: The transform's name and version, for the rows.
        output_key: The pattern of the results' keys, "" for the usual ones.
        is_versioned: Whether a bucket has versions; asked once per bucket.
        machine: This machine's name.
        folder: Where files are downloaded to and transformed.
        space: Measures the space of the disk that the folder is on.
        batch_uploads: The largest number of uploads of a batch.
    """

    store: Store
    pipeline: Pipeline
    readers: tuple[Reader, ...]
    upstream: Upstream | None
    requests: RequestThreads | None
    quarantine: str
    archive: str
    ledger: Ledger
    pool: TransformPool
    maker: Maker
    output_key: str
    is_versioned: Callable[[str], bool]
    machine: str
    folder: Path
    space: Callable[[], Space]
    batch_uploads: int = BATCH_UPLOADS

    @property
    def buckets(self) -> list[str]:
        """The buckets that the jobs write to."""
        kept = [self.archive] if self.pipeline.keep_inputs else []
        readers = [reader.bucket for reader in self.readers]
        return [self.pipeline.output, self.quarantine, *kept, *readers]
