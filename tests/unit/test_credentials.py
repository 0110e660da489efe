"""Messages about a cloud that cannot be reached or refuses a login."""

import re
from pathlib import Path

import pytest

from clients import trove as client
from clients.connection import connect
from clients.errors import CloudError
from tests.credentials import Account, CredentialRules


def test_unreachable_cloud_is_one_sentence(
    clouds_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:9", clouds_yaml.read_text())
    other = tmp_path / "clouds.yaml"
    other.write_text(closed)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(other))
    with pytest.raises(CloudError, match=r"Cloud 'local' cannot be queried"):
        client.find(connect("local"), "x")


def test_wrong_password_is_one_sentence(
    clouds_yaml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = re.sub(r'"password": "[^"]+"', '"password": "wrong"', clouds_yaml.read_text())
    other = tmp_path / "clouds.yaml"
    other.write_text(wrong)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(other))
    with pytest.raises(CloudError, match=r"refuses the credentials in clouds.yaml"):
        client.find(connect("local"), "x")


@pytest.fixture
def account(clouds_yaml: Path) -> Account:
    return Account(
        "local", "RegionLocal", clouds_yaml, "compute", "/v2.1/servers", "/servers", "/flavors"
    )


class TestLocal(CredentialRules):
    """The local cloud's Keystone."""
