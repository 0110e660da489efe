"""A package registry on the host's loopback, for a guest whose first attempts are to fail."""

import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

from cli.paths import cache_folder
from tests.checkout import PROJECT

LOCK = PROJECT / "worker/requirements.txt"


def wheelhouse(python: str) -> Path:
    """Return a folder with the worker's locked wheels for a CPython such as 3.13.

    They are downloaded once for each lock file.
    """
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    target = cache_folder() / f"wheels-{python}-{digest}"
    if not target.exists():
        partial = target.with_suffix(f".{os.getpid()}")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes"),
            *("--only-binary", ":all:", "--python-version", python, "--dest", str(partial)),
            *("--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64"),
            *("--requirement", str(LOCK)),
        ]
        subprocess.run(command, check=True, env=dict(os.environ))
        for wheel in list(partial.glob("*.whl")):
            name = wheel.name.split("-")[0].replace("_", "-").lower()
            (partial / "simple" / name).mkdir(parents=True, exist_ok=True)
            wheel.rename(partial / "simple" / name / wheel.name)
        partial.rename(target)
    return target


def locked(name: str) -> str:
    """Return the lines of the worker's lock that are about a package."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith(f"{name}=="))
    rest = list(takewhile(lambda line: line.startswith("    --hash"), lines[begin + 1 :]))
    return "\n".join([lines[begin], *rest, ""])


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing."""


@contextmanager
def serving(folder: Path, port: int) -> Iterator[None]:
    """Serve a simple index (PEP 503): a folder's listing has its form."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
