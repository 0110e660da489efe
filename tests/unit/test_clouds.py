"""Look-ups that are plain functions; those that ask a cloud are in test_program.py."""

import pytest

from clients.catalog import s3_endpoint
from clients.errors import CloudError
from clients.trove import choose_version

VERSIONS = ["16.8", "17.4", "17.10", "18.1-beta", "17"]


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
def test_version(asked: str, had: list[str], found: str) -> None:
    assert choose_version(asked, had, "pukki") == found


@pytest.mark.parametrize("asked", ["1", "15", "17.1"])
def test_unavailable_version_is_refused(asked: str) -> None:
    with pytest.raises(CloudError, match=rf"databaseVersion is '{asked}'.*'pukki'.*16\.8, 17, 17"):
        choose_version(asked, VERSIONS, "pukki")


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
def test_s3_endpoint_of_a_swift_url(swift: str, endpoint: str) -> None:
    assert s3_endpoint(swift) == endpoint
