"""Waiting until a server answers."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable

from local import processes
from tests.openstack.services.errors import ServicesError
from tests.openstack.services.layout import Layout

#: A busy machine takes its time; what ends before is seen at once.
PATIENCE_SECONDS = 300.0


def until(layout: Layout, name: str, holds: Callable[[], bool]) -> None:
    """Ask until it holds; raises ServicesError when the process ends first, or never gets there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        log = layout.root / f"{name}.log"
        if not processes.is_running(layout.root, name):
            last = (log.read_text("utf-8", "replace").strip().splitlines() or ["nothing"])[-1]
            raise ServicesError(f"{name} ended while it started, last line in {log}: {last}")
        if time.monotonic() > deadline:
            raise ServicesError(f"{name} did not answer in {PATIENCE_SECONDS:g} s: see {log}.")
        time.sleep(0.1)


def answers(url: str) -> bool:
    """Whether an HTTP server is there and not failing."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own loopback
            return bool(answer.status < 500)
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
