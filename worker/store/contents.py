"""A file to be put: what the store and the ledger are told of its bytes."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Contents:
    """A file, its hashes (sha256 in hex, the raw md5 that S3 checks a PUT by) and its length."""

    path: Path
    sha256: str
    md5: bytes
    size: int


def contents_of(path: Path) -> Contents:
    """Hash a file."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    return Contents(path, sha256.hexdigest(), md5.digest(), size)
