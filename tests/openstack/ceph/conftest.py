"""The worker's own fixtures with Ceph in place of its stores, so that its tests run there too.

Containers are made over Swift, and S3 is asked with a credential that Keystone has made, as on
Allas. A bucket without versions is a "plain" one there: DELETE ignores If-Match.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.object_store import ObjectStore
from tests.openstack.ceph import cluster
from tests.openstack.ceph.project import Project
from tests.openstack.services.stack import OpenStack
from tests.worker.conftest import database, idle, pipeline, unversioned, versioned
from tests.worker.pipeline import Pipeline

__all__ = ["database", "idle", "pipeline", "unversioned", "versioned"]

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the kind of bucket that Ceph does not have, and the store in memory."""
    here = [one for one in items if HERE in one.path.parents]
    no = [one for one in here if "conditional" in one.name or "[memory" in one.name]
    items[:] = [one for one in items if one not in no]
    config.hook.pytest_deselected(items=no)


@pytest.fixture(scope="package")
def project(cloud: OpenStack, gateway: Path) -> Iterator[Project]:
    """The customer's."""
    with cloud.customer() as connection:
        yield Project(connection, cluster.endpoint(gateway))


@pytest.fixture(scope="package")
def moto(project: Project) -> ObjectStore:
    """Not moto's: the gateway, with the project's keys."""
    return project.ec2_credential()


@pytest.fixture(scope="package")
def rclone(moto: ObjectStore) -> ObjectStore:
    return moto


@pytest.fixture(scope="package")
def pipelines(project: Project) -> type[Pipeline]:
    """Pipelines whose buckets are the project's containers."""

    class OnCeph(Pipeline):
        def make_bucket(self, name: str) -> None:
            project.make_container(name)

    return OnCeph
