"""What the cloud holds, as one JSON file an object, so that a killed daemon goes on."""

import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local import files

Record = dict[str, Any]


class Records:
    """Objects by kind and id. Hold `lock` over a read that a write depends on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lock = threading.RLock()

    def get(self, kind: str, identifier: str) -> Record | None:
        """The object, or None."""
        try:
            text = self._path(kind, identifier).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        record: Record = json.loads(text)
        return record

    def all(self, kind: str) -> list[Record]:
        """Every object of a kind, oldest first."""
        found: list[tuple[int, Record]] = []
        for path in (self._folder / kind).glob("[!.]*.json"):
            try:
                born, text = path.stat().st_mtime_ns, path.read_text(encoding="utf-8")
            except FileNotFoundError:  # removed since it was listed
                continue
            found.append((born, json.loads(text)))
        return [record for _, record in sorted(found, key=lambda pair: pair[0])]

    def put(self, kind: str, identifier: str, record: Record) -> None:
        """Make or replace the object."""
        with self.lock:
            files.write(self._path(kind, identifier), json.dumps(record, indent=1))

    def remove(self, kind: str, identifier: str) -> None:
        """Forget the object; fine when there is none."""
        with self.lock:
            self._path(kind, identifier).unlink(missing_ok=True)

    def _path(self, kind: str, identifier: str) -> Path:
        # A leading dot would hide it from `all`.
        name = quote(identifier, safe="").replace(".", "%2E")
        return self._folder / kind / f"{name}.json"
