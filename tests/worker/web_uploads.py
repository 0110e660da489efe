"""What senders do with the upload API, and what they get."""

from typing import Any

from tests.worker.web_server import Response, WebServer

BOUNDARY = "the-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(*files: tuple[str, bytes], field: str = "file", end: bool = True) -> bytes:
    body = b""
    for name, content in files:
        disposition = f'form-data; name="{field}"; filename="{name}"'
        head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/png\r\n"
        body += f"{head}\r\n".encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode() if end else body


def post(server: WebServer, body: bytes, query: str = "", **headers: str) -> Response:
    sent = {"authorization": f"Bearer {server.token}", "content_type": FORM} | headers
    return server.request("POST", f"/upload{query}", headers=sent, body=body)


def put(server: WebServer, path: str, body: bytes, **headers: str) -> Response:
    sent = {"authorization": f"Bearer {server.token}", "content_type": "image/png"} | headers
    return server.request("PUT", f"/upload/{path}", headers=sent, body=body)


def job(server: WebServer, token: str) -> dict[str, Any]:
    response = server.get(f"/jobs/{token}", authorization=f"Bearer {server.token}")
    assert response.status == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def refused(response: Response, status: int, words: str) -> None:
    """Check an error: one sentence that tells what to do."""
    assert response.status == status, response.text
    assert response.headers.get_content_type() == "application/json"
    error = response.json()["error"]
    assert words in error
    assert error.endswith(".")
    assert "Traceback" not in error
