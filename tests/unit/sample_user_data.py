"""User-data of a sample stack."""

import shutil
from typing import Any

import pytest

from infra.user_data import document as user_data

INTERVAL = "7s"


def sample(
    source: dict[str, str], pieces: dict[str, str], settings: str = 'stack = "unit"\n'
) -> dict[str, Any]:
    names = ("database-admin-password", "database-password", "s3-access-key", "s3-secret-key")
    return user_data.document(
        source,
        pieces,
        interval=INTERVAL,
        settings=settings,
        credentials={name: f"secret of {name}" for name in names},
        secrets={"source-database": "secret of a pipeline"},
        root_certificate="pem",
    )


def files(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {entry["path"]: entry for entry in document["write_files"]}


def tool(name: str, *, why: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: {why}")
    return found
