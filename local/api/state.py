"""The state that all services of the local cloud share."""

import json
import threading
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local import private_file
from local.api.identity import Identity

REGION = "RegionLocal"
STORE, DATABASES, MACHINES = "object-store", "databases", "machines"
"""The folders of the cloud's servers, below its own; databases and machines have one each."""
Record = dict[str, Any]


class Records:
    """Objects by collection and id, one JSON file each, so that a killed daemon loses nothing.

    Hold `lock` from a read to a write that depends on it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = threading.RLock()

    def get(self, collection: str, identifier: str) -> Record | None:
        """Return an object, None if there is none."""
        try:
            text = self._path(collection, identifier).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        record: Record = json.loads(text)
        return record

    def all(self, collection: str) -> list[Record]:
        """Return every object of a collection, the one that changed last at the end."""
        found: list[tuple[int, Record]] = []
        for path in (self._folder / collection).glob("[!.]*.json"):
            try:
                changed, text = path.stat().st_mtime_ns, path.read_text(encoding="utf-8")
            except FileNotFoundError:  # removed since it was listed
                continue
            found.append((changed, json.loads(text)))
        return [record for _, record in sorted(found, key=lambda pair: pair[0])]

    def put(self, collection: str, identifier: str, record: Record) -> None:
        """Store an object, new or changed."""
        with self.lock:
            private_file.write(self._path(collection, identifier), json.dumps(record, indent=1))

    def remove(self, collection: str, identifier: str) -> None:
        """Remove an object, which may be missing."""
        with self.lock:
            self._path(collection, identifier).unlink(missing_ok=True)

    def _path(self, collection: str, identifier: str) -> Path:
        # A leading dot would hide it from `all`.
        name = quote(identifier, safe="").replace(".", "%2E")
        return self._folder / collection / f"{name}.json"


@dataclass(frozen=True)
class CloudState:
    """The cloud's folder, its records and secrets, and where its servers listen.

    Attributes:
        folder: the cloud's folder.
        records: what exists in the cloud.
        identity: the cloud's one project and user.
        url: the address of the API.
        store: the address of the object store.
        store_key: the access key and secret key that the object store accepts.
    """

    folder: Path
    records: Records
    identity: Identity
    url: str
    store: str
    store_key: tuple[str, str]

    def fixed_id(self, name: str) -> str:
        """Return the id of something that exists from the start, such as `network/external`."""
        return str(uuid.uuid5(uuid.UUID(self.identity.project_id), name))

    def machine_folder(self, identifier: str) -> Path:
        """Return the folder of a server's machine."""
        return self.folder / MACHINES / identifier

    def database_folder(self, identifier: str) -> Path:
        """Return the folder of a database instance's PostgreSQL."""
        return self.folder / DATABASES / identifier


def new_id() -> str:
    """Return a new id in OpenStack's form."""
    return str(uuid.uuid4())


def now() -> str:
    """Return the time as OpenStack writes it: UTC, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
