"""Environments of transforms with packages of their own, installed once on this computer."""

from local.cache import cache_folder
from worker.environment import Environment, environment_of
from worker.preparation import prepare
from worker.settings import DatabaseSettings, Package, Pipeline, Settings, StoreSettings

PREPARED = cache_folder() / "prepared"


def prepared(pipeline: Pipeline) -> Environment:
    """Prepare a pipeline that downloads nothing from the store.

    What it needs is kept in the cache that the local cloud's machines have too; each part is made
    under a lock, so several test processes may do this at once.

    Args:
        pipeline: The pipeline.

    Returns:
        What its transform needs.
    """
    settings = Settings(
        stack="test",
        machine="vm",
        store=StoreSettings("http://127.0.0.1:9", "quarantine"),
        database=DatabaseSettings("127.0.0.1", "test", "worker", "admin"),
        package=Package(),
        pipelines={pipeline.name: pipeline},
        prepared=PREPARED,
    )
    prepare(settings, pipeline)
    return environment_of(settings, pipeline)
