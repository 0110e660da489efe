"""Look-ups that are plain functions; those that ask a cloud are in test_program.py."""

from pathlib import Path

import pytest

from infra.clouds import s3_endpoint, version
from infra.errors import CloudError
from infra.settings.load import parse
from infra.settings.models import Database
from tests.unit.stack_settings import stack_settings

VERSIONS = ["16.8", "17.4", "17.10", "18.1-beta", "17"]


@pytest.fixture
def wanted(tmp_path: Path) -> Database:
    return parse(stack_settings(tmp_path), "x").database


@pytest.mark.parametrize(
    ("asked", "had", "found"),
    [
        ("17.4", VERSIONS, "17.4"),
        ("17", VERSIONS, "17"),
        ("17", VERSIONS[:-1], "17.10"),
        ("16", VERSIONS, "16.8"),
        ("18", VERSIONS, "18.1-beta"),
    ],
)
def test_version(wanted: Database, asked: str, had: list[str], found: str) -> None:
    assert version(wanted.model_copy(update={"version": asked}), had, "pukki") == found


@pytest.mark.parametrize("asked", ["1", "15", "17.1"])
def test_version_that_is_not_there(wanted: Database, asked: str) -> None:
    with pytest.raises(CloudError, match=rf"databaseVersion is '{asked}'.*'pukki'.*16\.8, 17, 17"):
        version(wanted.model_copy(update={"version": asked}), VERSIONS, "pukki")


@pytest.mark.parametrize(
    ("swift", "endpoint"),
    [
        ("https://a3s.fi:443/swift/v1/AUTH_0123", "https://a3s.fi"),
        ("https://a3s.fi/swift/v1", "https://a3s.fi"),
        ("http://127.0.0.1:7480/swift/v1/AUTH_x", "http://127.0.0.1:7480"),
        ("http://[::1]:80/swift/v1", "http://[::1]"),
        ("", ""),
    ],
)
def test_s3_endpoint_stands_beside_swift(swift: str, endpoint: str) -> None:
    assert s3_endpoint(swift) == endpoint
