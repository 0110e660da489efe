"""`python -m worker.bootstrap SETTINGS FOLDER`: download the worker's package.

Nova limits user-data to 64 KB, so user-data contains only the modules that this one imports. The
rest is one archive in the object store, accepted only if it has the hash that worker.toml names.
These modules use the standard library only: nothing is installed yet.
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

ACCESS_KEY, SECRET_KEY = "s3-access-key", "s3-secret-key"
#: Holds the hash of the archive that was unpacked.
STAMP = ".fetched"
_REMEDY = "run `./pipeline refresh` and `up`"


def fetch(settings: Settings, folder: Path) -> None:
    """Unpack the archive into a folder, unless that was done before.

    Args:
        settings: The stack's.
        folder: The folder that contains `worker/`.

    Raises:
        ServiceUnavailable: The archive cannot be downloaded, or has another hash.
    """
    package, stamp = settings.package, folder / STAMP
    with suppress(OSError):
        if stamp.read_text() == package.sha256:
            return
    content = _download(settings)
    if hashlib.sha256(content).hexdigest() != package.sha256:
        raise ServiceUnavailable(
            f"{package.key} in bucket {settings.store.quarantine} is not the worker that was"
            f" stored there (its hash differs): {_REMEDY}."
        )
    with zipfile.ZipFile(BytesIO(content)) as packed:
        packed.extractall(folder)
    stamp.write_text(package.sha256)


def _download(settings: Settings) -> bytes:
    store, key = settings.store, settings.package.key
    keys = (settings.credential(ACCESS_KEY), settings.credential(SECRET_KEY))
    client = Client(store.endpoint, Signer(store.region or "us-east-1", *keys))
    try:
        return client.call("GET", store.quarantine, key).body
    except RequestRefused as error:
        raise ServiceUnavailable(
            f"The object store refuses the worker, {key} in bucket {store.quarantine}"
            f" ({error.code}): {_REMEDY}, which store it there."
        ) from error
    except NoResponse as error:
        raise ServiceUnavailable(
            f"The object store {store.endpoint} does not respond: {error}."
        ) from error


def main(path: str, folder: str) -> int:
    """Return the exit status: 0 done, 1 failed, 2 the settings are wrong."""
    try:
        fetch(load(Path(path), os.environ, (ACCESS_KEY, SECRET_KEY)), Path(folder))
    except ServiceUnavailable as error:
        print(error, file=sys.stderr)
        return 1
    except InvalidSettings as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
