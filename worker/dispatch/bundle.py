"""Works that one machine gets together: the payload of one of procrastinate's tasks."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from worker.ledger.ledger import Attempt
from worker.uploads.listing import KeyUploads
from worker.uploads.upload import Upload


@dataclass(frozen=True)
class Bundle:
    """Works that one machine gets together.

    Attributes:
        works: The works, each on another key.
        attempts: What is known about those uploads that were tried before.
        is_slow: Whether it may keep a thread for so long that the number of such is limited.
    """

    works: Sequence[KeyUploads]
    attempts: Mapping[Upload, Attempt]
    is_slow: bool

    def dumps(self) -> str:
        """Return compressed JSON in ASCII.

        Keys may hold NUL and lone surrogates, which `jsonb` refuses, and psycopg escapes quotes
        slowly: three times in an argument of procrastinate's.
        """
        works = [
            {
                "key": work.key,
                "withdrawn": [_upload(one, self.attempts) for one in work.withdrawn],
                "uploads": [_upload(one, self.attempts) for one in work.uploads],
                "gathered": work.gathered,
            }
            for work in self.works
        ]
        bucket = self.works[0].versions[0].bucket
        text = json.dumps({"bucket": bucket, "works": works, "slow": self.is_slow})
        return base64.b64encode(zlib.compress(text.encode(), 1)).decode()

    @classmethod
    def loads(cls, text: str) -> "Bundle":
        """Read what `dumps` wrote.

        Returns:
            The bundle.

        Raises:
            ValueError: Another release of the worker wrote it.
        """
        attempts: dict[Upload, Attempt] = {}
        works = []
        try:
            found = json.loads(zlib.decompress(base64.b64decode(text)))
            for work in found["works"]:
                withdrawn, uploads = (
                    [_read(one, found["bucket"], work["key"], attempts) for one in work[name]]
                    for name in ("withdrawn", "uploads")
                )
                works.append(KeyUploads(work["key"], withdrawn, uploads, work["gathered"]))
            return cls(works, attempts, found["slow"])
        except (KeyError, TypeError, zlib.error) as error:
            raise ValueError("This is no bundle of this release.") from error


def _upload(upload: Upload, attempts: Mapping[Upload, Attempt]) -> dict[str, Any]:
    attempt = attempts.get(upload)
    return {
        "version": upload.version_id,
        "etag": upload.etag,
        "modified": upload.last_modified.isoformat(),
        "size": upload.size,
        "marker": upload.is_marker,
        "attempt": asdict(attempt) if attempt else None,
    }


def _read(row: dict[str, Any], bucket: str, key: str, attempts: dict[Upload, Attempt]) -> Upload:
    """Return an upload, and add its attempt."""
    modified = datetime.fromisoformat(row["modified"])
    place = (bucket, key, row["version"], row["etag"], modified)
    upload = Upload(*place, size=row["size"], is_marker=row["marker"])
    if row["attempt"]:
        attempts[upload] = Attempt(**row["attempt"])
    return upload
