"""One upload: what the input bucket showed, and what the ledger knows it by."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

NULL_VERSION = "null"


def whole_seconds(moment: datetime) -> datetime:
    """LastModified as HEAD carries it (RFC 9110, 5.6.7): UTC, without fractions."""
    return moment.astimezone(UTC).replace(microsecond=0)


@dataclass(frozen=True)
class Upload:
    """An upload's identity, as the bucket was listed: attempts and rows are keyed by it.

    The size is no part of the identity.
    """

    bucket: str
    key: str
    version_id: str  # "" where the bucket has no versions
    etag: str
    last_modified: datetime  # whole seconds
    size: int = field(default=0, compare=False)

    @property
    def pinned(self) -> bool:
        """Whether the version id names these bytes for ever. "null" does not: a bucket whose
        versions are suspended puts a newer upload under the same id."""
        return self.version_id not in ("", NULL_VERSION)
