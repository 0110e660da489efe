"""The upload API: files over HTTP, and what became of them (docs/interfaces.md)."""

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from worker.errors import RequestPartlyStored, ServiceUnavailable, UploadDeferred
from worker.ledger.runs import upstream_of
from worker.ledger.stack_ledger import HttpUpload
from worker.logs import fields
from worker.settings import Pipeline
from worker.web import form, upload_status
from worker.web.body import Body
from worker.web.incoming_files import HOLD_BYTES, PART_BYTES, IncomingFiles
from worker.web.memory import Memory
from worker.web.openapi import document
from worker.web.pages import render
from worker.web.rate_limit import RateLimit
from worker.web.security import is_bearer
from worker.web.state import State
from worker.web.tokens import is_same
from worker.web.upload_keys import check_key, key_of_file

# A request holds at most HOLD_BYTES, a part on its way and the piece that it adds.
_RESERVE = HOLD_BYTES + PART_BYTES + (1 << 20)
_MEMORY = HOLD_BYTES + PART_BYTES  # of all other requests
_RETRY_SECONDS = 10
_NAMED = 5  # files in a sentence
_NUMBER = re.compile("[0-9]{1,9}")
_log = logging.getLogger(__name__)

_Handler = Callable[[Body], Awaitable[Response]]


def routes(state: State) -> list[Route]:
    """Return the routes of the upload API."""
    api = _UploadApi(state)
    return [
        Route("/upload", api.post, methods=["POST"]),
        Route("/upload/{pipeline}/{key:path}", api.put, methods=["PUT"]),
        Route("/jobs/u{digits}", api.job),
        Route("/jobs/u{digits}/results/{number}", api.result),
        Route("/openapi.json", _openapi),
    ]


class _UploadApi:
    def __init__(self, state: State) -> None:
        self._state = state
        self._memory = Memory(_MEMORY, _RESERVE)
        self._rate = RateLimit(state.settings.web.max_per_minute)

    async def post(self, request: Request) -> Response:
        """Store the files of a form."""
        is_form = self._is_plain_form(request)

        async def answer(body: Body) -> Response:
            self._authorize(request, needs_csrf=not is_form)
            self._admit()
            return await self._store_form(request, body, is_form=is_form)

        return await self._respond(request, answer, is_page=is_form)

    async def put(self, request: Request) -> Response:
        """Store the body as a file."""

        async def answer(body: Body) -> Response:
            self._authorize(request)
            self._admit()
            return await self._store_body(request, body)

        return await self._respond(request, answer)

    async def job(self, request: Request) -> Response:
        """Return what became of a file."""

        async def answer(_: Body) -> Response:
            self._authorize(request, needs_csrf=False)
            token = f"u{request.path_params['digits']}"
            return JSONResponse(await upload_status.status(self._state, token))

        return await self._respond(request, answer)

    async def result(self, request: Request) -> Response:
        """Return a result of a file."""

        async def answer(_: Body) -> Response:
            self._authorize(request, needs_csrf=False)
            token, number = f"u{request.path_params['digits']}", request.path_params["number"]
            # Python reads no number of thousands of digits.
            found = int(number) if _NUMBER.fullmatch(number) else 0
            return await upload_status.result(self._state, token, found)

        return await self._respond(request, answer)

    async def _respond(
        self, request: Request, answer: _Handler, *, is_page: bool = False
    ) -> Response:
        """Answer a request; an error is one sentence, as JSON or as a page."""
        headers, stored = dict[str, str](), dict[str, Any]()
        try:
            return await answer(Body(request))
        except HTTPException as error:
            status, text = error.status_code, error.detail
            headers |= error.headers or {}
        except ClientDisconnect:
            status, text = HTTPStatus.BAD_REQUEST, "The connection ended before the body did."
        except ServiceUnavailable as error:
            # It may name the database's address and user: that is for the log only.
            _log.warning("upload", extra=fields(obstacle=str(error)))
            status, text = HTTPStatus.SERVICE_UNAVAILABLE, _UNAVAILABLE
            headers["Retry-After"] = str(_RETRY_SECONDS)
        except RequestPartlyStored as error:
            _log.warning("upload", extra=fields(obstacle=str(error)))
            keys = ", ".join(repr(one["key"][:80]) for one in error.files[:_NAMED])
            status = HTTPStatus.SERVICE_UNAVAILABLE
            text = _PARTLY_STORED.format(count=len(error.files), keys=keys)
            headers["Retry-After"] = str(_RETRY_SECONDS)
            stored["files"] = error.files
        except UploadDeferred as error:
            _log.warning("upload", extra=fields(problem=str(error)))
            status, text = HTTPStatus.SERVICE_UNAVAILABLE, f"{_REFUSED} {error}"
            headers["Retry-After"] = str(_RETRY_SECONDS)
        if is_page:
            page = render(request, "error.html", status, text=text)
            page.headers.update(headers)
            return page
        return JSONResponse({"error": text} | stored, status, headers)

    def _is_plain_form(self, request: Request) -> bool:
        """Return whether a browser sends a form without a script of ours."""
        is_script = "x-csrf-token" in request.headers
        return self._state.is_person(request) and not is_bearer(request) and not is_script

    def _authorize(self, request: Request, *, needs_csrf: bool = True) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_same(given.strip(), self._state.token):
            return
        if not scheme and self._state.is_person(request):
            if not needs_csrf or self._state.has_csrf(request):
                return
            raise HTTPException(HTTPStatus.FORBIDDEN, _NO_CSRF)
        raise HTTPException(HTTPStatus.UNAUTHORIZED, _UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})

    def _admit(self) -> None:
        if seconds := self._rate.admit():
            most = self._state.settings.web.max_per_minute
            text = f"More than {most} uploads came in a minute: try again in {seconds} s."
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, text, {"Retry-After": str(seconds)})

    def _pipeline(self, name: str) -> Pipeline:
        """Return the pipeline of a name, "" for the only one."""
        pipelines = self._state.settings.pipelines
        known = ", ".join(one for one, each in pipelines.items() if not each.gather)
        if not name and len(pipelines) == 1:
            return next(iter(pipelines.values()))
        if not name:
            text = f"The stack has several pipelines: give ?pipeline=, one of {known}."
            raise HTTPException(HTTPStatus.BAD_REQUEST, text)
        if name not in pipelines:
            text = f"There is no pipeline {name[:80]!r}: choose one of {known}."
            raise HTTPException(HTTPStatus.NOT_FOUND, text)
        if pipelines[name].gather:
            first = " or ".join(upstream_of(pipelines, name).first_pipelines)
            text = f"The pipeline {name!r} reads results only: upload to {first}."
            raise HTTPException(HTTPStatus.BAD_REQUEST, text)
        return pipelines[name]

    async def _store_form(self, request: Request, body: Body, *, is_form: bool) -> Response:
        texts = {"pipeline": request.query_params.get("pipeline", ""), "csrf": ""}
        files: IncomingFiles | None = None
        async with self._memory.share() as share:
            try:
                async for part in form.parts(request.headers.get("content-type", ""), body):
                    if isinstance(part, form.Text):
                        if part.name == "pipeline" and files and part.value != texts["pipeline"]:
                            raise HTTPException(HTTPStatus.BAD_REQUEST, _LATE_PIPELINE)
                        texts |= {part.name: part.value} if part.name in texts else {}
                    elif isinstance(part, form.File):
                        if is_form and not self._state.has_csrf(request, texts["csrf"]):
                            raise HTTPException(HTTPStatus.FORBIDDEN, _NO_CSRF)
                        pipeline = self._pipeline(texts["pipeline"])
                        files = files or IncomingFiles(self._state, pipeline, share)
                        files.begin(key_of_file(part.name), part.content_type)
                    else:
                        assert files  # noqa: S101  a file has begun
                        await (files.add(part) if isinstance(part, bytes) else files.end())
                if files is None:
                    raise HTTPException(HTTPStatus.BAD_REQUEST, _NO_FILE)
                uploads = await files.store()
            finally:
                if files:
                    await files.abort()
        if is_form:
            return RedirectResponse(f"/upload?batch={files.batch}", HTTPStatus.SEE_OTHER)
        return _stored(uploads, files.ignored)

    async def _store_body(self, request: Request, body: Body) -> Response:
        name, key = _split_path(request)
        pipeline = self._pipeline(name)
        if encoding := request.headers.get("content-encoding", ""):
            text = (
                f"The Content-Encoding {encoding[:80]!r} is not supported: send the file as it is."
            )
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, text)
        async with self._memory.share() as share:
            files = IncomingFiles(self._state, pipeline, share)
            try:
                files.begin(key, request.headers.get("content-type", ""))
                # Before the first byte: a sender that waits for permission sends nothing.
                files.check_size(int(request.headers.get("content-length", 0)))
                async for piece in body:
                    await files.add(piece)
                await files.end()
                uploads = await files.store()
            finally:
                await files.abort()
        return _stored(uploads, files.ignored)


async def _openapi(request: Request) -> Response:
    return JSONResponse(document(request.app.state.shared.settings))


def _stored(uploads: list[HttpUpload], ignored: list[str]) -> Response:
    content: dict[str, Any] = {"files": [asdict(one) for one in uploads]}
    if ignored:
        content["ignored"] = ignored
    return JSONResponse(content)


def _split_path(request: Request) -> tuple[str, str]:
    """Return the pipeline and the key in a path; Starlette's would hide that it is not UTF-8."""
    _, _, pipeline, key = unquote_to_bytes(request.scope["raw_path"]).split(b"/", 3)
    try:
        return pipeline.decode(), check_key(key.decode())
    except UnicodeDecodeError:
        text = "The key in the path is not UTF-8: encode it so, then with percent signs."
        raise HTTPException(HTTPStatus.BAD_REQUEST, text) from None


_UNAVAILABLE = (
    "The object store or the database cannot be used now, and nothing was stored: try again later; "
    "the machine's log has the reason."
)
_PARTLY_STORED = (
    "The object store failed: {count} files of this request may have been stored ({keys}), and no "
    "others; send again what is missing after a look at their state (GET /jobs/TOKEN)."
)
_REFUSED = "The store did not take the file, and nothing was stored:"
_UNAUTHORIZED = (
    "The upload token is missing or wrong: send the header `Authorization: Bearer TOKEN` with the "
    "one that `./pipeline web --token` prints."
)
_NO_CSRF = (
    "The form does not come from this page, or has expired: open /upload again and send it from "
    "there."
)
_LATE_PIPELINE = (
    "The form names a pipeline after a file of another: give the field before all files, and send "
    "one form for each pipeline."
)
_NO_FILE = "The form has no file: send one, for instance by curl -F file=@cat.jpg."
