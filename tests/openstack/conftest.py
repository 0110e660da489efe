"""One OpenStack for the whole suite."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.openstack.services import guardian, leftovers, means, stack
from tests.openstack.services.stack import OpenStack


@pytest.fixture(scope="session")
def cloud() -> Iterator[OpenStack]:
    """Both clouds, running; ended with the tests, however they end."""
    if sentence := means.missing():
        pytest.skip(sentence)
    leftovers.remove()
    with tempfile.TemporaryDirectory(prefix=leftovers.PREFIX) as name:
        folder = Path(name)
        with leftovers.owned(folder), guardian.watching(folder):
            try:
                yield stack.up(folder)
            finally:
                stack.down(folder)


@pytest.fixture
def clouds_yaml(cloud: OpenStack, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The customer's clouds.yaml (entries `pouta` and `pukki`), the only thing the SDK finds."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(cloud.clouds_yaml))
    return cloud.clouds_yaml
