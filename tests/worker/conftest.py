"""Real S3 servers and PostgreSQL for the session; fresh buckets and a fresh database for each test.

The worker runs as its own process, as on the machine.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import object_store, postgres
from local.object_store import ObjectStore
from local.postgres import PostgreSQL
from tests.worker.dispatch import Dispatch, DispatchInMemory, DispatchInPostgres
from tests.worker.ledgers import Ledgers, LedgersInMemory, LedgersInPostgres
from tests.worker.pipeline import Pipeline
from worker import settings
from worker.ledger.connection import connect_worker
from worker.ledger.ledger import Ledger
from worker.transforms.negate import build, kernels


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    folder = tmp_path_factory.mktemp("moto")
    yield object_store.start(folder, "moto")
    object_store.stop(folder)


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    folder = tmp_path_factory.mktemp("rclone")
    yield object_store.start(folder, "rclone")
    object_store.stop(folder)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    folder = tmp_path_factory.mktemp("postgres")
    yield postgres.start(folder)
    postgres.stop(folder)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build negate's kernels if they are missing, and load them."""
    if kernels.library is None:
        folder = tmp_path_factory.mktemp("kernels")
        kernels.library = kernels.load(build.compile_library(folder).parent)


@pytest.fixture(scope="session")
def pipelines() -> type[Pipeline]:
    """Return the class of pipelines; another suite creates its buckets elsewhere."""
    return Pipeline


#: What a bucket supports, and the server that has such buckets.
KINDS = {"versions": "moto", "conditional": "moto", "plain": "rclone"}


@pytest.fixture(params=KINDS)
def pipeline(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: PostgreSQL,
    pipelines: type[Pipeline],
) -> Iterator[Pipeline]:
    """A pipeline per kind of bucket: with versions, without, and without conditional deletes."""
    store: ObjectStore = request.getfixturevalue(KINDS[request.param])
    with pipelines(tmp_path, store, database, versions=request.param == "versions") as made:
        made.kind = request.param
        made.make_tables()
        yield made


@pytest.fixture
def versioned(
    tmp_path: Path, moto: ObjectStore, database: PostgreSQL, pipelines: type[Pipeline]
) -> Iterator[Pipeline]:
    """A pipeline whose input bucket has versions."""
    with pipelines(tmp_path, moto, database, versions=True) as made:
        made.make_tables()
        yield made


@pytest.fixture
def idle(
    tmp_path: Path, moto: ObjectStore, database: PostgreSQL, pipelines: type[Pipeline]
) -> Iterator[Pipeline]:
    """A pipeline whose database has no schema yet."""
    with pipelines(tmp_path, moto, database, versions=True) as made:
        yield made


@pytest.fixture
def unversioned(
    tmp_path: Path, moto: ObjectStore, database: PostgreSQL, pipelines: type[Pipeline]
) -> Iterator[Pipeline]:
    """A pipeline without versions, on a store that honours conditional requests."""
    with pipelines(tmp_path, moto, database, versions=False) as made:
        made.make_tables()
        yield made


@pytest.fixture(params=["memory", "PostgreSQL"])
def ledgers(request: pytest.FixtureRequest) -> Iterator[Ledgers]:
    if request.param == "memory":
        yield LedgersInMemory()
        return
    pipeline: Pipeline = request.getfixturevalue("versioned")
    with ExitStack() as stack:
        connection = connect_worker(settings.load(pipeline.settings, {}, ()))
        yield LedgersInPostgres(pipeline, stack.enter_context(connection))


@pytest.fixture
def ledger(ledgers: Ledgers) -> Ledger:
    """Return the ledger of the pipeline `negatives` on the machine vm-1."""
    return ledgers.open("vm-1", "negatives")


@pytest.fixture(params=["memory", "PostgreSQL"])
def dispatch(request: pytest.FixtureRequest) -> Iterator[Dispatch]:
    if request.param == "memory":
        yield DispatchInMemory()
        return
    with ExitStack() as stack:
        yield DispatchInPostgres(request.getfixturevalue("versioned"), stack)
