"""Environments of transforms with packages of their own, installed once on this computer."""

from pathlib import Path

from local.cache import cache_folder
from local.object_store import ObjectStore
from worker.environment import Environment, environment_of
from worker.preparation import prepare
from worker.settings import DatabaseSettings, Package, Pipeline, Settings, StoreSettings

PREPARED = cache_folder() / "prepared"


def prepared(
    pipeline: Pipeline, store: ObjectStore | None = None, credentials: Path = Path()
) -> Environment:
    """Prepare what a pipeline's transform needs.

    It is kept in the cache that the local cloud's machines have too; each part is made under a
    lock, so several test processes may do this at once.

    Args:
        pipeline: The pipeline.
        store: The object store, None if nothing is downloaded from it.
        credentials: The folder that gets the store's keys.

    Returns:
        What its transform needs.
    """
    if store:
        (credentials / "s3-access-key").write_text(store.access_key)
        (credentials / "s3-secret-key").write_text(store.secret_key)
    settings = Settings(
        stack="test",
        machine="vm",
        store=StoreSettings(store.endpoint if store else "http://127.0.0.1:9", "quarantine"),
        database=DatabaseSettings("127.0.0.1", "test", "worker", "admin"),
        package=Package(),
        pipelines={pipeline.name: pipeline},
        credentials=credentials,
        prepared=PREPARED,
    )
    prepare(settings, pipeline)
    return environment_of(settings, pipeline)
