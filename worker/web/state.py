"""What all requests share: settings, store, ledger, and who may do what."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection

from worker.ledger.page_ledger import PageLedger
from worker.ledger.postgres_ledger import translated_errors
from worker.settings import Settings
from worker.store.s3_store import open_store
from worker.web.connections import Connections
from worker.web.monitor import Monitor
from worker.web.thumbnails import Thumbnails
from worker.web.tokens import bearer_token, csrf_token, is_same, page_key, session_id
from worker.web.unfinished import Unfinished

_T = TypeVar("_T")
_UPLOAD_THREADS = 16  # beside anyio's 40, which pages use
_READ_THREADS = 16


class State:
    """What all requests share.

    Args:
        settings: The stack's, with the credentials of the store and the database.

    Attributes:
        settings: The same.
        store: The object store.
        token: The bearer token of the upload API.
        page_key: The key that lets a browser in.
        csrf: What each change of the page must carry besides the cookie.
        cookie: The name of the cookie; ports of one host share their cookies, stacks do not.
        monitor: What the overview shows.
        thumbnails: Makes small pictures of users' files.
        unfinished: What uploads have begun to store in parts.
        upload_threads: Where uploads wait for store and ledger, so that pages have threads left.
        read_threads: Where reads of the store wait, for the same reason.
        sessions: Admits one piece of work that holds a session of the ledger while it waits for the
            store, so that pages have sessions left.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings, self.store = settings, open_store(settings)
        secret = (settings.credential("s3-secret-key"), settings.web.token_round)
        self.token, self.page_key = bearer_token(*secret), page_key(*secret)
        self.csrf = csrf_token(self.page_key)
        self.cookie = f"session-{sha256(settings.stack.encode()).hexdigest()[:8]}"
        self.unfinished = Unfinished(self.store, settings.state / "unfinished")
        self.upload_threads = CapacityLimiter(_UPLOAD_THREADS)
        self.read_threads, self.sessions = CapacityLimiter(_READ_THREADS), CapacityLimiter(1)
        self._connections = Connections(settings)
        self.monitor = Monitor(settings, self.store, self._connections)
        self.thumbnails = Thumbnails(self.store, settings.state / "thumbnails")

    def start(self) -> None:
        """Start what runs beside the requests."""
        self.monitor.start()
        threading.Thread(target=self.unfinished.abort_left, daemon=True).start()

    @contextmanager
    def ledger(self) -> Iterator[PageLedger]:
        """Lend the stack's ledger to a thread; every statement commits by itself."""
        with self._connections.lend() as connection:
            connection.read_only = False
            yield PageLedger(connection, self.settings.stack)

    async def read(
        self, work: Callable[[PageLedger], _T], limiter: CapacityLimiter | None = None
    ) -> _T:
        """Run blocking work in a thread, in one read-only transaction of the ledger.

        Args:
            work: Gets the stack's ledger.
            limiter: `sessions` for work that also asks the store.

        Returns:
            What the work returns.
        """
        return await to_thread.run_sync(self._read, work, limiter=limiter)

    def _read(self, work: Callable[[PageLedger], _T]) -> _T:
        with self._connections.lend() as connection:
            connection.read_only = True
            with translated_errors("BEGIN"), connection.transaction():
                return work(PageLedger(connection, self.settings.stack))

    def is_person(self, request: HTTPConnection) -> bool:
        """Return whether a request has the cookie of a browser that was let in."""
        return is_same(request.cookies.get(self.cookie, ""), session_id(self.page_key))

    def has_csrf(self, request: HTTPConnection, given: str = "") -> bool:
        """Return whether a change comes from a page of ours.

        Args:
            request: The request; its header X-CSRF-Token counts.
            given: What its form has as `csrf`, "" for none.
        """
        return is_same(given or request.headers.get("x-csrf-token", ""), self.csrf)

    def close(self) -> None:
        """Close what is open."""
        self.monitor.stop()
        self.thumbnails.close()
        self._connections.close()
