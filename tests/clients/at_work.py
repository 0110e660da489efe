"""A pipeline at work, and a client that uploads to it from far away."""

import os
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from cli.commands.keys import configuration
from cli.stacks.outputs import Outputs
from local.object_store import ObjectStore
from tests.clients.slow_link import SlowLink
from tests.eventually import patience
from tests.worker.pictures import decode, encode, error, negated, picture
from tests.worker.pipeline import Pipeline
from tests.worker.test_linger import lingering

# Seconds. A stack's defaults are 2 and 60: on a busy computer a client may take longer.
GRACE, EMPTY = 600, 600


@contextmanager
def at_work(pipeline: Pipeline, grace: int = GRACE, empty: int = EMPTY) -> Iterator[ObjectStore]:
    """Let the worker process uploads as they come; a final pass empties the input bucket.

    Args:
        pipeline: The pipeline.
        grace: For how many seconds an upload stays at least, until the last pass.
        empty: For how many seconds an empty object waits for its content.

    Yields:
        The store as a client reaches it, 60 ms away.
    """
    pipeline.configure(top={"grace_seconds": grace, "empty_seconds": empty})
    url = urlsplit(pipeline.store.endpoint)
    with SlowLink(str(url.hostname), int(url.port or 0)) as link, lingering(pipeline) as worker:
        yield replace(pipeline.store, endpoint=f"http://127.0.0.1:{link.port}")
        assert worker.poll() is None, worker.communicate()
        worker.terminate()
        worker.communicate(timeout=120 * patience())
    pipeline.configure(top={"grace_seconds": 0, "empty_seconds": 0})
    pipeline.drain()
    assert pipeline.left() == []


def photos(folder: Path, count: int) -> dict[str, bytes]:
    """Write photos into a new folder and return them by name."""
    folder.mkdir()
    made = {f"p{number:03}.png": encode(picture(number), "PNG") for number in range(count)}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return made


def check(pipeline: Pipeline, made: Mapping[str, bytes]) -> None:
    """Check that each photo has one row, and a right result."""
    rows = sorted((row["key"], row["outcome"]) for row in pipeline.rows())
    assert rows == [(name, "done") for name in sorted(made)]
    for name, data in made.items():
        assert error(decode(pipeline.get(f"negated_{name}")), negated(data)) == 0, name


def keys_of(client: str, store: ObjectStore, path: Path) -> Path:
    """Write what `./pipeline keys` prints for a client; rclone calls the store "store"."""
    keys = (store.endpoint, "us-east-1", store.access_key, store.secret_key)
    path.write_text(configuration(client, "store", Outputs({}, "", "", *keys)))
    return path


def run(*arguments: str | Path, **environment: str) -> str:
    """Run a client, which must succeed. Packages' programs are found beside Python.

    Returns:
        What it printed.
    """
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    ended = subprocess.run(
        [str(one) for one in arguments],
        env={"PATH": path, "HOME": os.environ["HOME"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300 * patience(),
    )
    assert ended.returncode == 0, (ended.returncode, ended.stdout[-2000:])
    return ended.stdout
