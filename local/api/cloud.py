"""What every service of the local cloud shares."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.api.identity import Identity
from local.api.records import Records

REGION = "RegionLocal"


@dataclass(frozen=True)
class Cloud:
    """The folder, its records and secrets, and the addresses of API and object store."""

    folder: Path
    records: Records
    identity: Identity
    url: str
    store: str
    store_key: tuple[str, str]

    def fixed_id(self, name: str) -> str:
        """The id of something that exists from the start (a network, an image)."""
        return str(uuid.uuid5(uuid.UUID(self.identity.project_id), name))


def new_id() -> str:
    """A fresh id, as OpenStack forms them."""
    return str(uuid.uuid4())


def now() -> str:
    """The time as OpenStack writes it (UTC, seconds)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
