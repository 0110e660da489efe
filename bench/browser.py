"""A browser of the page, as far as its requests go."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.pipeline import WorkerPipeline
from local.ports import free_port
from worker.web.tokens import page_key


class Browser:
    """A browser's requests over one connection.

    Args:
        port: The page's.
        pid: Its process's id.
        key: Its key.
    """

    def __init__(self, port: int, pid: int, key: str) -> None:
        self.pid = pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers, self._key = dict[str, str](), key

    def get(self, path: str) -> bytes:
        """Return what an address has; the first request logs in.

        Raises:
            RuntimeError: The page refuses it.
        """
        if not self._headers:
            self._connection.request("GET", f"/login?key={self._key}")
            response = self._connection.getresponse()
            response.read()
            self._headers["cookie"] = response.headers["set-cookie"].partition(";")[0]
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{path} answered {response.status}: {content[:500]!r}")
        return content

    def seconds(self, path: str) -> float:
        """Return how long a page takes."""
        begin = time.perf_counter()
        self.get(path)
        return time.perf_counter() - begin


@contextmanager
def browser(pipeline: WorkerPipeline) -> Iterator[Browser]:
    """Serve the page of a pipeline's stack while the context lasts.

    Yields:
        A browser of it, without any request so far.
    """
    port = free_port()
    with (pipeline.folder / "web.log").open("w", encoding="utf-8") as log:
        process = pipeline.start_web(port, stdout=log)
        try:
            yield Browser(port, process.pid, page_key(pipeline.store.secret_key, 1))
        finally:
            process.terminate()
            process.communicate(timeout=30)
