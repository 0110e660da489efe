"""`python -m worker.bootstrap SETTINGS FOLDER`: put the whole worker where a part of it is already.

Nova takes 64 KB of user-data, so that brings what this module imports and no more. The rest is one
archive in the object store, and it counts only if its hash is the one that user-data names.
"""

import hashlib
import os
import sys
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

from worker.errors import InvalidSettings, NoResponse, RequestRefused, ServiceUnavailable
from worker.settings import Settings, load
from worker.store.client import Client, Signer

ACCESS, SECRET = "s3-access-key", "s3-secret-key"
STAMP = ".fetched"


def fetch(settings: Settings, folder: Path) -> None:
    """Unpack the archive into `folder`, unless it is there. Raises ServiceUnavailable."""
    archive, stamp = settings.archive, folder / STAMP
    with suppress(OSError):
        if stamp.read_text() == archive.sha256:
            return
    content = _content(settings)
    if hashlib.sha256(content).hexdigest() != archive.sha256:
        raise ServiceUnavailable(
            f"{archive.key} in bucket {settings.store.quarantine} is not the worker that was put"
            " there: run `./pipeline refresh` and `up`."
        )
    with zipfile.ZipFile(BytesIO(content)) as packed:
        packed.extractall(folder)
    stamp.write_text(archive.sha256)


def _content(settings: Settings) -> bytes:
    store, key = settings.store, settings.archive.key
    keys = (settings.credential(ACCESS), settings.credential(SECRET))
    client = Client(store.endpoint, Signer(store.region or "us-east-1", *keys))
    try:
        return client.call("GET", store.quarantine, key).body
    except RequestRefused as error:
        raise ServiceUnavailable(
            f"The object store refuses the worker, {key} in bucket {store.quarantine}"
            f" ({error.code}): run `./pipeline refresh` and `up`, which put it there."
        ) from error
    except NoResponse as error:
        raise ServiceUnavailable(
            f"The object store {store.endpoint} does not answer: {error}."
        ) from error


def main(path: str, folder: str) -> int:
    """1 where something is in the way, 2 where it is the settings."""
    try:
        fetch(load(Path(path), os.environ, (ACCESS, SECRET)), Path(folder))
    except ServiceUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
