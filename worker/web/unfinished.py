"""Objects that are being stored in parts, for the case that the process ends meanwhile.

Parts of an object that nobody completes or aborts stay in the store, invisible and paid for.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from worker.errors import PipelineError
from worker.logs import fields
from worker.store.store import PartsUpload, Store

_log = logging.getLogger(__name__)


class Unfinished:
    """Keeps a file for each object that is being stored in parts.

    Args:
        store: The object store.
        folder: Of the files; made when it is needed.
    """

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._left = list(folder.glob("*.json"))  # by an earlier process

    def begin(
        self, bucket: str, key: str, content_type: str, metadata: Mapping[str, str]
    ) -> PartsUpload:
        """Begin an object (`Store.put_parts`)."""
        upload = self._store.put_parts(bucket, key, content_type, metadata)
        with suppress(OSError):  # a full disk does not keep the file out
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            named = {"bucket": bucket, "key": key, "upload_id": upload.id}
            self._file(upload).write_text(json.dumps(named))
        return upload

    def end(self, upload: PartsUpload) -> None:
        """Forget an object that was completed or aborted."""
        self._file(upload).unlink(missing_ok=True)

    def abort_left(self) -> None:
        """Abort what an earlier process began; what cannot be aborted is left for the next one."""
        for file in self._left:
            try:
                self._store.abort_parts(**json.loads(file.read_text()))
            except PipelineError as error:
                problem = f"Parts of an interrupted upload remain: {error}"
                _log.warning("upload", extra=fields(problem=problem))
                continue
            except (OSError, ValueError, TypeError):  # cut off when the machine stopped
                pass
            file.unlink(missing_ok=True)

    def _file(self, upload: PartsUpload) -> Path:
        return self._folder / f"{sha256(upload.id.encode()).hexdigest()[:32]}.json"
