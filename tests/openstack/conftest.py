"""One OpenStack for the whole suite."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.engine.find import pulumi_root
from tests.checkout import open_folder
from tests.openstack.ceph import cluster
from tests.openstack.ceph.configuration import Keystone
from tests.openstack.customer import Customer, customer, in_catalog
from tests.openstack.services import guardian, leftovers, prerequisites, stack
from tests.openstack.services.stack import OpenStack


@pytest.fixture(scope="package")
def cloud() -> Iterator[OpenStack]:
    """Both clouds, running; ended with the tests, however they end."""
    if sentence := prerequisites.missing():
        pytest.skip(sentence)
    leftovers.remove()
    with tempfile.TemporaryDirectory(prefix=leftovers.PREFIX) as name:
        folder = Path(name)
        with leftovers.owned(folder), guardian.watching(folder):
            try:
                yield stack.up(folder)
            finally:
                stack.down(folder)
            assert not leftovers.naming(folder)


@pytest.fixture
def clouds_yaml(cloud: OpenStack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The customer's clouds.yaml (entries `pouta` and `pukki`), the only one that the SDK finds."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    return cloud.clouds_yaml


@pytest.fixture(scope="package")
def gateway(cloud: OpenStack) -> Iterator[Path]:
    """The folder of a running Ceph that authenticates users with the cloud's Keystone."""
    if sentence := cluster.missing():
        pytest.skip(sentence)
    keystone = Keystone(
        cloud.auth_url.removesuffix("/v3"), "nova", cloud.layout.passwords.service, "service"
    )
    folder = cloud.layout.root / "ceph"  # goes with the cloud's folder, also when we are killed
    cluster.start(folder, keystone)
    yield folder
    cluster.stop(folder)


@pytest.fixture(scope="session")
def pulumi() -> Path:
    """The root of a Pulumi CLI."""
    return pulumi_root()


@pytest.fixture(scope="module")
def operator(cloud: OpenStack, gateway: Path, pulumi: Path) -> Iterator[Customer]:
    """A customer with a project of the module's own; buckets are in the gateway."""
    name = f"project-{secrets.token_hex(4)}"
    with (
        open_folder() as folder,
        in_catalog(cloud, cluster.endpoint(gateway)),
        customer(folder, pulumi, cloud, name) as made,
    ):
        yield made
