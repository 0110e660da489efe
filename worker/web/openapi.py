"""The OpenAPI document of the upload API (OpenAPI 3.1); a test sends what it allows and forbids."""

from typing import Any

from worker.settings import Settings

_TEXT, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_REASON = {
    "type": ["string", "null"],
    "description": "Why it was quarantined, or is missing.",
}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TOKEN = {"type": "string", "pattern": "^u[0-9a-f]{32}$"}
_KEY = (
    "The object key, with folders if it has slashes: at most 1,024 bytes of UTF-8, no control "
    "characters, and no part that is empty, '.' or '..'."
)
_STATES = ["waiting", "running", "done", "quarantined", "dropped", "missing"]
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}


def document(settings: Settings) -> dict[str, Any]:
    """Return the document of a stack's API.

    Args:
        settings: The stack's: its pipelines and limits are in the document.
    """
    web = settings.web
    pipelines = [one.name for one in settings.pipelines.values() if not one.gather]
    limits = (
        f"A file has at most {web.max_file_mb} MB, a form at most {web.max_files} files, and "
        f"{web.max_per_minute} uploads are admitted in a minute."
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"image-pipeline, stack {settings.stack}",
            "version": "1",
            "description": "Files are stored in the input bucket of a pipeline, once the whole "
            f"request has been received and was right; else nothing is. {limits}",
        },
        "security": [{"token": []}],
        "paths": {
            "/upload": {"post": _post(pipelines)},
            "/upload/{pipeline}/{key}": {"put": _put(pipelines)},
            "/jobs/{token}": {"get": _job()},
            "/jobs/{token}/results/{number}": {"get": _result()},
            "/openapi.json": {"get": _document()},
        },
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "What `./pipeline web --token` prints.",
                }
            },
            "schemas": {"Stored": _stored(), "Job": _job_schema(), "Error": _error()},
        },
    }


def _post(pipelines: list[str]) -> dict[str, Any]:
    several = len(pipelines) > 1
    file = {"type": "string", "contentMediaType": "application/octet-stream", "minLength": 1}
    form = {
        "type": "object",
        "description": "The fields may have any names and several files; file names may have "
        "folders.",
        "required": ["file"],
        "properties": {"file": file},
        "additionalProperties": {},
    }
    chosen = {
        "name": "pipeline",
        "in": "query",
        "required": several,
        "description": "May be left out if the stack has only one.",
        "schema": {"enum": pipelines},
    }
    return {
        "operationId": "uploadForm",
        "summary": "Upload files as a form: curl -F file=@cat.jpg",
        "parameters": [chosen],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": _stored_responses(),
    }


def _put(pipelines: list[str]) -> dict[str, Any]:
    return {
        "operationId": "uploadFile",
        "summary": "Upload a file as the body: curl -T cat.jpg",
        "parameters": [
            _parameter("pipeline", {"enum": pipelines}),
            _parameter("key", {"type": "string", "minLength": 1}, _KEY),
        ],
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {}},
        },
        "responses": _stored_responses(),
    }


def _job() -> dict[str, Any]:
    return {
        "operationId": "job",
        "summary": "What became of a file",
        "parameters": [_parameter("token", _TOKEN)],
        "responses": {
            "200": _json("The state of the file, and what was made from it.", "Job"),
            **_errors(401, 403, 404, 503),
        },
    }


def _result() -> dict[str, Any]:
    number = {"type": "integer", "minimum": 1, "maximum": 10**9}
    return {
        "operationId": "result",
        "summary": "Download a result of a file",
        "parameters": [_parameter("token", _TOKEN), _parameter("number", number)],
        "responses": {
            "200": {"description": "The result.", "content": {"*/*": {"schema": _TEXT}}},
            **_errors(401, 403, 404, 503),
        },
    }


def _document() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {
        "operationId": "document",
        "summary": "This document",
        "security": [],
        "responses": {"200": {"description": "This document.", "content": content}},
    }


def _parameter(name: str, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    found = {"name": name, "in": "path", "required": True, "schema": schema}
    return found | ({"description": description} if description else {})


def _stored_responses() -> dict[str, Any]:
    stored = _json("All files are stored.", "Stored")
    token = "$response.body#/files/0/token"  # noqa: S105  an expression of OpenAPI
    stored["links"] = {
        "job": {"operationId": "job", "parameters": {"token": token}},
        "result": {"operationId": "result", "parameters": {"token": token, "number": 1}},
    }
    return {
        "200": stored,
        **_errors(400, 401, 403, 404, 413, 415, 429, 503),
    }


def _errors(*statuses: int) -> dict[str, Any]:
    """Return responses with errors."""
    meanings = {
        400: "The request is not complete, or wrong; nothing was stored.",
        401: "The token is missing or wrong.",
        403: "The token does not open this address, or a browser's form is not the page's.",
        404: "There is no such pipeline, file or result.",
        413: "A file is too large, or there are too many.",
        415: "The body is no form, or compressed.",
        429: "Too many uploads came in a minute.",
        503: "The object store or the database cannot be used now; nothing was stored but `files`.",
    }
    responses: dict[str, Any] = {}
    for status in statuses:
        responses[str(status)] = _json(meanings[status], "Error")
        if status in (429, 503):
            responses[str(status)]["headers"] = _RETRY_AFTER
    return responses


def _json(description: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": description, "content": {"application/json": {"schema": reference}}}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _error() -> dict[str, Any]:
    schema = _object(error={"type": "string", "description": "One sentence: what to do."})
    left = "Of 503: files that may have been stored; their tokens say whether they were."
    schema["properties"]["files"] = _array(_file()) | {"description": left}
    return schema


def _file() -> dict[str, Any]:
    return _object(token=_TOKEN, pipeline=_TEXT, key=_TEXT, sha256=_SHA256, bytes=_COUNT)


def _stored() -> dict[str, Any]:
    schema = _object(files=_array(_file()))
    ignored = _array(_TEXT) | {"description": "Files that the pipeline ignores: not stored."}
    schema["properties"]["ignored"] = ignored
    return schema


def _job_schema() -> dict[str, Any]:
    state = {"enum": _STATES}
    whole = "Of all that is made from the file: `done` once no pipeline has anything to do."
    result = _object(
        pipeline=_TEXT, key=_TEXT, bytes=_COUNT, sha256=_SHA256, contentType=_TEXT, url=_TEXT
    )
    return _object(
        token=_TOKEN,
        state={**state, "description": whole},
        pipeline=_TEXT,
        key=_TEXT,
        bytes=_COUNT,
        sha256=_SHA256,
        reason=_REASON,
        jobs=_array(_object(id=_TEXT, pipeline=_TEXT, state=state, reason=_REASON)),
        results=_array(result),
        records=_array(_object(pipeline=_TEXT, data={}))
        | {"description": "The first 1,000 rows that transforms made."},
    )
