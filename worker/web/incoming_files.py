"""The files of a request, on their way into the store.

Nothing of a request is in the input bucket before its whole body has been received: small files
are held in memory, larger ones go to the store in parts, which become objects last.
"""

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

from anyio import to_thread
from starlette.exceptions import HTTPException

from worker.errors import PipelineError, RequestPartlyStored
from worker.jobs.fetch import UPLOAD
from worker.ledger.stack_ledger import HttpUpload
from worker.logs import fields
from worker.settings import Pipeline
from worker.store.store import MAX_PARTS, MIN_PART_BYTES, Contents, PartsUpload, hash_bytes
from worker.uploads.listing import is_ignored
from worker.uploads.upload import NULL_VERSION
from worker.web.memory import Share
from worker.web.state import State
from worker.web.stored_uploads import stored_uploads

#: What a request may hold in memory: files that are not stored yet, and a part on its way.
HOLD_BYTES, PART_BYTES = 8 << 20, 8 << 20
_TOGETHER = 8  # requests to the store at a time
_QUICK_BYTES = 1 << 18  # hashed in less time than a thread takes to begin
_MEDIA_TYPE = re.compile(r"[\w.+-]{1,60}/[\w.+-]{1,60}", re.ASCII)
_DEFAULT_MEDIA_TYPE = "application/octet-stream"
#: What `curl --data-binary` and Python's urllib say of any body. A store may take it for a form and
#: store nothing: moto 5.2.5 does.
_UNSAID_MEDIA_TYPE = "application/x-www-form-urlencoded"
_FOLDER = "A folder? Send its files, or use `./pipeline put`."  # curl sends one as an empty file
_log = logging.getLogger(__name__)


@dataclass
class _File:
    """A file that is being received, or was."""

    key: str
    content_type: str
    token: str = field(default_factory=lambda: f"u{secrets.token_hex(16)}")
    size: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)
    # Neither hashed nor stored yet. Not a list: pieces may have a few bytes each.
    content: bytearray = field(default_factory=bytearray)
    parts: PartsUpload | None = None

    @property
    def held(self) -> int:
        """How many bytes were not stored yet."""
        return len(self.content)

    def take(self) -> bytes:
        """Return what was not stored yet."""
        content, self.content = bytes(self.content), bytearray()
        return content


class IncomingFiles:
    """The files of one request.

    Args:
        state: What all requests share.
        pipeline: The pipeline that they are for.
        share: The request's memory.

    Attributes:
        batch: Stands for the request.
        ignored: The keys of files that the pipeline ignores: they are not stored.
    """

    def __init__(self, state: State, pipeline: Pipeline, share: Share) -> None:
        self._state, self._pipeline, self._share = state, pipeline, share
        self._limit = state.settings.web.max_file_bytes
        self._part_bytes = max(PART_BYTES, MIN_PART_BYTES, -(-self._limit // MAX_PARTS))
        self.ignored: list[str] = []
        self._files: list[_File] = []
        self._current: _File | None = None
        self._size = 0  # of the file that was begun last, also of an ignored one
        self._held = 0  # bytes of all files that are not stored
        self._sending: asyncio.Task[None] | None = None
        self._in_thread = partial(to_thread.run_sync, limiter=state.upload_threads)
        self.batch = secrets.token_hex(16)

    def begin(self, key: str, content_type: str) -> None:
        """Begin a file.

        Args:
            key: Its object key.
            content_type: What the sender says that it is.

        Raises:
            HTTPException: There are too many, or another one has the same key.
        """
        most = self._state.settings.web.max_files
        if len(self._files) + len(self.ignored) == most:
            text = f"The form has more than {most} files, the limit of one request: send the rest "
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text + "in another one.")
        self._size = 0
        if is_ignored(key, self._pipeline.ignore):
            self.ignored.append(key)
            self._current = None
            return
        if any(one.key == key for one in self._files):
            text = f"Two files have the name {key[:80]!r}: one would replace the other; rename it."
            raise HTTPException(HTTPStatus.BAD_REQUEST, text)
        media_type = content_type.partition(";")[0].strip()
        is_unsaid = media_type.lower() == _UNSAID_MEDIA_TYPE
        if is_unsaid or not _MEDIA_TYPE.fullmatch(media_type):
            media_type = _DEFAULT_MEDIA_TYPE
        self._current = _File(key, media_type)
        self._files.append(self._current)

    async def add(self, piece: bytes) -> None:
        """Add to the content of the file that was begun last.

        Raises:
            HTTPException: The file is too large.
        """  # noqa: DOC502  raised by check_size
        self._size += len(piece)
        self.check_size(self._size)
        file = self._current
        if file is None:
            return
        await self._share.take(len(piece))
        file.content += piece
        file.size += len(piece)
        self._held += len(piece)
        if file.held >= self._part_bytes:
            await self._send(file)
        elif self._held > HOLD_BYTES:
            await self._send_small()

    def check_size(self, size: int) -> None:
        """Raise HTTPException if a file of this size is too large."""
        if size > self._limit:
            web = self._state.settings.web
            text = f"The file is larger than {web.max_file_mb} MB, the limit of this stack "
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text + "(upload.maxFileMb).")

    async def end(self) -> None:
        """End the file that was begun last.

        Raises:
            HTTPException: It is empty.
        """
        file = self._current
        if file and not file.size:
            text = f"The file {file.key[:80]!r} is empty: nothing can be made of it. "
            raise HTTPException(HTTPStatus.BAD_REQUEST, text + _FOLDER)

    async def store(self) -> list[HttpUpload]:
        """Put the files into the input bucket: the whole body was received.

        Returns:
            What their senders get.

        Raises:
            ServiceUnavailable: The store or the database cannot be used; nothing was stored.
            UploadDeferred: The store refused a file; nothing was stored.
            RequestPartlyStored: The same, but not all that was stored could be deleted.
        """  # noqa: DOC501, DOC502  what store and ledger raise
        await self._sent()
        contents = [
            _hashed(one) if one.held <= _QUICK_BYTES else await self._in_thread(_hashed, one)
            for one in self._files
        ]
        uploads = [
            HttpUpload(one.token, self._pipeline.name, one.key, sha256, one.size)
            for one, (sha256, _) in zip(self._files, contents, strict=True)
        ]
        await self._in_thread(self._add_rows, uploads)
        tried: list[_File] = []

        async def complete(file: _File, last: Contents) -> None:
            tried.append(file)
            put = self._put if file.parts is None else self._complete
            await self._in_thread(put, file, last)

        try:
            await _all_of(
                [
                    partial(complete, file, last)
                    for file, (_, last) in zip(self._files, contents, strict=True)
                ]
            )
        except PipelineError as error:
            left = await self._take_back(tried)
            gone = [one.token for one in uploads if one.token not in left]
            with suppress(PipelineError):
                await self._in_thread(self._remove_rows, gone)
            if left:
                stored = [asdict(one) for one in uploads if one.token in left]
                raise RequestPartlyStored(str(error), stored) from error
            raise
        return uploads

    async def abort(self) -> None:
        """Delete what was sent to the store; what `store` has stored stays."""
        with suppress(PipelineError):
            await self._sent()
        for file in self._files:
            if file.parts is not None:
                try:
                    await self._in_thread(self._abort, file.parts)
                except PipelineError as error:
                    problem = f"Parts of {file.key!r} may remain: {error}"
                    _log.warning("upload", extra=fields(problem=problem))

    async def _send_small(self) -> None:
        """Send the files that are complete, so that their memory can be used again."""
        for file in self._files[:-1]:
            if file.held:
                await self._send(file)

    async def _send(self, file: _File) -> None:
        """Send what is there of a file, while more is received."""
        await self._sent()
        self._held -= file.held
        content = file.take()
        self._sending = asyncio.create_task(self._send_part(file, content))

    async def _send_part(self, file: _File, content: bytes) -> None:
        count = len(content)
        try:
            await self._in_thread(self._store_part, file, content)
        finally:
            del content
            await self._share.give(count)

    async def _sent(self) -> None:
        """Wait for the part on its way."""
        sending, self._sending = self._sending, None
        if sending:
            await sending

    def _store_part(self, file: _File, content: bytes) -> None:
        file.sha256.update(content)
        if file.parts is None:
            where = (self._pipeline.input, file.key, file.content_type)
            file.parts = self._state.unfinished.begin(*where, {UPLOAD: file.token})
        file.parts.add(content)

    def _add_rows(self, uploads: list[HttpUpload]) -> None:
        with self._state.ledger() as ledger:
            ledger.add_uploads(self.batch, uploads)

    def _remove_rows(self, tokens: list[str]) -> None:
        with self._state.ledger() as ledger:
            ledger.remove_uploads(tokens)

    def _put(self, file: _File, content: Contents) -> None:
        bucket, metadata = self._pipeline.input, {UPLOAD: file.token}
        self._state.store.put(bucket, file.key, content, file.content_type, metadata)

    def _complete(self, file: _File, last: Contents) -> None:
        assert file.parts  # noqa: S101
        if last.size:
            assert isinstance(last.body, bytes)  # noqa: S101
            file.parts.add(last.body)
        file.parts.complete()
        self._state.unfinished.end(file.parts)
        file.parts = None

    def _abort(self, parts: PartsUpload) -> None:
        parts.abort()
        self._state.unfinished.end(parts)

    async def _take_back(self, tried: list[_File]) -> set[str]:
        """Delete the objects of a request of which not all could be stored.

        Returns:
            The tokens of files that are stored, or may be.
        """
        left = {file.token for file in tried}

        async def take_back(file: _File) -> None:
            if await self._in_thread(self._delete, file):
                left.remove(file.token)

        try:
            await _all_of([partial(take_back, file) for file in tried])
        except PipelineError as error:
            _log.warning("upload", extra=fields(problem=f"Files may have been stored: {error}"))
        return left

    def _delete(self, file: _File) -> bool:
        """Delete what is stored of a file.

        A response may have been lost, so the store is asked also where a PUT failed. An object
        without a version is kept: it may have replaced an older one, and then nothing would remain.

        Returns:
            Whether nothing is stored any more.

        Raises:
            PipelineError: That cannot be verified.
        """  # noqa: DOC501, DOC502  raised by the store
        store, bucket = self._state.store, self._pipeline.input
        found = stored_uploads(store, bucket, file.key, file.size)
        versions = [version for version, token in found if token == file.token]
        if not {"", NULL_VERSION}.isdisjoint(versions):
            return False
        failures = store.delete_versions(bucket, [(file.key, version) for version in versions])
        if failures:
            raise next(iter(failures.values()))
        return True


def _hashed(file: _File) -> tuple[str, Contents]:
    """Return the hash of a whole file, and what was not stored of it yet."""
    content = file.take()
    last = hash_bytes(content)
    if file.parts is None:
        return last.sha256, last
    file.sha256.update(content)
    return file.sha256.hexdigest(), last


async def _all_of(calls: list[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Run all, a few at a time, and raise the first error once all have ended."""
    free = asyncio.Semaphore(_TOGETHER)
    errors: list[Exception] = []

    async def run(call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with free:
            if not errors:
                try:
                    await call()
                except Exception as error:  # noqa: BLE001  raised below
                    errors.append(error)

    await asyncio.gather(*map(run, calls))
    if errors:
        raise errors[0]
