"""Downloads of inputs and results, one or many, and their thumbnails.

A browser saves users' files and never shows them: whatever they contain, nothing of it runs.
"""

import io
import logging
import re
import zipfile
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from worker.errors import ObjectMissing, PipelineError, UploadDeferred
from worker.ledger.ledger import DONE
from worker.ledger.page_ledger import JobPage, PageFilter, PageLedger, Place
from worker.logs import fields
from worker.store.store import ObjectInfo, Store
from worker.web.listing import address, chosen_pipelines, place_of, place_text
from worker.web.pages import STATIC
from worker.web.security import FILE_HEADERS
from worker.web.state import State
from worker.web.stored_files import StoredFile, first_stored, from_output, possible_files
from worker.web.thumbnails import SIZES, TYPES

if TYPE_CHECKING:
    from typing_extensions import Buffer

_ANY_TYPE = "application/octet-stream"
_MAX_ZIPPED_JOBS = 1000  # that an address may name
_PAGE = 200  # jobs whose results are looked up together
_RESULTS = 1000  # a job has no more
MAX_ZIPPED_FILES = 10_000
_MORE = "MORE.txt"
_DAY_SECONDS = 86400
_Member = tuple[str, StoredFile | str]
_log = logging.getLogger(__name__)


async def file_response(state: State, file: StoredFile) -> Response:
    """Return a response that sends a stored file as it comes from the store.

    Args:
        state: What all requests share.
        file: The file.

    Returns:
        A response that a browser saves as a file and does not show.

    Raises:
        HTTPException: The file is not there any more, or the store fails.
    """
    stack = ExitStack()
    opened = state.store.open(file.bucket, file.key, file.version_id)
    try:
        info, pieces = await to_thread.run_sync(_enter, stack, opened, limiter=state.read_threads)
    except ObjectMissing:
        raise HTTPException(404, f"{file.key!r} is no longer in {file.bucket}.") from None
    except UploadDeferred as error:
        raise HTTPException(503, str(error)) from error

    def content() -> Generator[bytes]:
        with stack:
            yield from pieces

    headers = FILE_HEADERS | {"Content-Disposition": _attachment(file.name)}
    if info.size:
        headers["Content-Length"] = str(info.size)
    kind = file.content_type or _ANY_TYPE
    return _Download(state, content(), kind, headers)


class _Download(StreamingResponse):
    """Content that is read from the store while it is sent.

    If the store fails meanwhile, the connection ends before the content does.
    """

    def __init__(
        self, state: State, content: Generator[bytes], kind: str, headers: dict[str, str]
    ) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            with closing(content):
                while piece := await to_thread.run_sync(
                    next, content, None, limiter=state.read_threads
                ):
                    yield piece

        super().__init__(pieces(), media_type=kind, headers=headers)

    async def stream_response(self, send: Send) -> None:
        """Send the response."""
        try:
            await super().stream_response(send)
        except PipelineError as error:
            _log.warning("download", extra=fields(problem=f"A download ended early: {error}"))


def _enter(
    stack: ExitStack, opened: AbstractContextManager[tuple[ObjectInfo, Iterator[bytes]]]
) -> tuple[ObjectInfo, Iterator[bytes]]:
    return stack.enter_context(opened)


def _attachment(name: str) -> str:
    """Return a header's value with a name in any script (RFC 6266, 5; RFC 8187)."""
    return f"attachment; filename*=utf-8''{quote(name, safe='', errors='replace')}"


async def _file(request: Request) -> Response:
    state: State = request.app.state.shared
    return await file_response(state, await _found(request, state))


async def _thumbnail(request: Request) -> Response:
    state: State = request.app.state.shared
    size = request.query_params.get("size", "small")
    if size not in SIZES:
        raise HTTPException(404, f"There are no thumbnails of the size {size!r}.")
    try:
        path = await state.thumbnails.find(await _found(request, state), size)
    except (HTTPException, PipelineError, OSError):  # OSError: the disk is full
        path = None
    if path is None:
        headers = FILE_HEADERS | {"Cache-Control": "private, max-age=60"}
        return FileResponse(STATIC / "no-picture.svg", headers=headers)
    headers = FILE_HEADERS | {"Cache-Control": f"private, max-age={_DAY_SECONDS}"}
    return FileResponse(path, media_type=TYPES[path.suffix], headers=headers)


async def _found(request: Request, state: State) -> StoredFile:
    """Return the file that an address names.

    Raises:
        HTTPException: There is no such file.
    """
    identifier, number = request.path_params["id"], request.path_params["number"]
    try:
        files = await state.read(
            lambda ledger: possible_files(ledger, state.settings, identifier, number)
        )
        file = await to_thread.run_sync(
            first_stored, state.store, files, limiter=state.read_threads
        )
    except UploadDeferred as error:
        raise HTTPException(503, str(error)) from error
    if file is None:
        what = f"result {number}" if number else "stored input"
        raise HTTPException(404, f"Job {identifier} has no {what}.")
    return file


async def _zip(request: Request) -> Response:
    """Send the results of chosen jobs, or of all that match a filter, as one ZIP file."""
    state: State = request.app.state.shared
    query = request.query_params
    jobs = query.getlist("job")
    if len(jobs) > _MAX_ZIPPED_JOBS:
        raise HTTPException(400, f"At most {_MAX_ZIPPED_JOBS} jobs can be chosen.")
    if "chosen" in query and not jobs:
        raise HTTPException(400, "No result is chosen: mark some first.")
    pipelines, like = chosen_pipelines(request), query.get("q") or None
    if jobs:
        files = _files_of(state, jobs)
    else:
        given = {name: query.get(name, "") for name in ("pipeline", "q")}
        page_filter = PageFilter(pipelines, (DONE,), like, before=place_of(request), most=_PAGE)
        files = matching_files(state, page_filter, given)
    name = f"{state.settings.stack}-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip"
    headers = FILE_HEADERS | {"Content-Disposition": _attachment(name)}
    content = zipped(state.store, files)
    return _Download(state, content, "application/zip", headers)


def _files_of(state: State, jobs: list[str]) -> Iterator[_Member]:
    count = 0
    for start in range(0, len(jobs), _PAGE):
        with state.ledger() as ledger:
            rows = ledger.outputs_of(jobs[start : start + _PAGE], _RESULTS)
        yield from _named(state, rows[: MAX_ZIPPED_FILES - count])
        count += len(rows)
        if count > MAX_ZIPPED_FILES:
            text = f"The jobs have more than {MAX_ZIPPED_FILES:,} results, which a ZIP file has at "
            yield _MORE, text + "most: choose fewer jobs.\n"
            return


def matching_files(
    state: State, page_filter: PageFilter, given: Mapping[str, str]
) -> Iterator[_Member]:
    """Yield the newest results of matching jobs, at most MAX_ZIPPED_FILES.

    Args:
        state: What all requests share.
        page_filter: Which jobs.
        given: The same in an address.

    Yields:
        Names and files; if there are more, last a text with the address of the next.
    """
    count, place = 0, page_filter.before
    while True:
        with state.ledger() as ledger:
            page, rows = _page_outputs(ledger, page_filter, place)
        for job in page.jobs:
            own = [row for row in rows if row["job_id"] == job["id"]]
            count += len(own)
            if count > MAX_ZIPPED_FILES and place:
                path = address("/files/results.zip", given, before=place_text(place))
                yield _MORE, f"There are older results; the page's address with {path} has them.\n"
                return
            yield from _named(state, own)
            place = Place(job["created_at"], job["place"])
        if (place := page.older) is None:
            return


def _page_outputs(
    ledger: PageLedger, page_filter: PageFilter, before: Place | None
) -> tuple[JobPage, list[dict[str, Any]]]:
    page = ledger.job_page(page_filter.starting(before))
    return page, ledger.outputs_of([job["id"] for job in page.jobs], _RESULTS)


def _named(state: State, rows: Iterable[dict[str, Any]]) -> Iterator[_Member]:
    for row in rows:
        yield f"{row['pipeline']}/{row['key']}", from_output(state.settings, row)


def zipped(store: Store, files: Iterable[_Member]) -> Generator[bytes]:
    """Yield a ZIP file while its members are read (APPNOTE 6.3.10, with data descriptors).

    Args:
        store: The object store.
        files: Names in the ZIP file, and the files or texts. Names that would lead out of its
            folder or occur twice are changed. Files that are not there any more are named in
            `MISSING.txt`.

    Yields:
        Pieces; members are not compressed, since pictures are already.

    Raises:
        PipelineError: The store fails; then the ZIP file has no end, which every reader notices.
    """  # noqa: DOC502  raised by the store
    buffer = _Buffer()
    missing, used = [], dict[str, int]()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, file in files:
            member = zipfile.ZipInfo(_unused(_safe(name), used), datetime.now(UTC).timetuple()[:6])
            if isinstance(file, str):
                archive.writestr(member, file)
                continue
            member.file_size = file.bytes  # decides whether its sizes need 64 bits
            try:
                with (
                    store.open(file.bucket, file.key, file.version_id) as (_, pieces),
                    archive.open(member, "w") as target,
                ):
                    for piece in pieces:
                        target.write(piece)
                        yield buffer.take()
            except ObjectMissing:
                missing.append(f"{name} is no longer in {file.bucket}.\n")
        if missing:
            archive.writestr("MISSING.txt", "".join(missing))
    yield buffer.take()


def _safe(name: str) -> str:
    """Return a relative path without `.`, `..`, backslashes and what Windows forbids."""
    parts = (re.sub(r'[\\:*?"<>|\x00-\x1f]', "_", part) for part in PurePosixPath(name).parts)
    return "/".join(part for part in parts if part not in ("/", ".", "..")) or "_"


def _unused(name: str, used: dict[str, int]) -> str:
    """Return a free name; `used` has for each the number that its last namesake got."""
    path, free = PurePosixPath(name), name
    while free.casefold() in used:
        number = used[name.casefold()] = used[name.casefold()] + 1
        free = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
    used[free.casefold()] = 1
    return free


class _Buffer(io.RawIOBase):
    """A file that can only be written; `take` returns what was written since."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer") -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


ROUTES = [
    Route("/files/results.zip", _zip),
    Route("/files/{id}/{number:int}", _file),
    Route("/thumbnails/{id}/{number:int}", _thumbnail),
]
