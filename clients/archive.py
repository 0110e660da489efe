"""The worker's package and folders of users as zips, which a machine downloads from the store.

Their bytes are the same from every clone, umask and Python: another hash replaces the machine.
"""

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from worker.transforms.shipped_folder import is_shipped, shipped_files

CHECKOUT = Path(__file__).resolve().parents[1]
WORKER = CHECKOUT / "worker"
#: What of worker/ runs on the machine: sources, migrations, pages and the locks of packages.
SUFFIXES = (".py", ".sql", ".c", ".h", ".toml", ".html", ".css", ".js", ".svg")
LOCK = "requirements.txt"
#: Compiled code that is committed; what a computer built for itself is not shipped.
PREBUILT = ("prebuilt", ".so")
#: What worker/bootstrap.py imports of its own package: the part in user-data.
BOOTSTRAP = (
    *("__init__.py", "bootstrap.py", "errors.py", "settings.py"),
    *("store/__init__.py", "store/client.py", "store/connection.py", "store/retries.py"),
)
#: Prefix of object keys, which keeps them apart from users' objects.
PREFIX = ".image-pipeline"


@dataclass(frozen=True)
class Archive:
    """A zip in the object store: the worker's package, or the folder of a user."""

    sha256: str
    folder: str = ""  # as the settings have it

    @property
    def key(self) -> str:
        """The object's key, which differs for other contents."""
        return f"{PREFIX}/{'folder' if self.folder else 'worker'}-{self.sha256[:16]}.zip"


def describe(folder: str = "") -> Archive:
    """Return what will be stored for a folder in the settings, "" for the worker's package."""
    with pack(contents(folder)) as packed:
        return Archive(digest(packed), folder)


def contents(folder: str = "") -> dict[str, Path]:
    """Return path in the zip -> file of a folder in the settings, "" for the worker's package."""
    return shipped_files(located(folder)) if folder else files()


def pack(found: Mapping[str, Path]) -> io.BufferedRandom:
    """Return a zip of files in their order, in a temporary file."""
    target = TemporaryFile()  # noqa: SIM115  closed by the caller
    # Stored: interpreters link different zlibs, which pack differently.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in found.items():
            entry = zipfile.ZipInfo(name)  # its time is 1980, always
            entry.create_system = 3  # Unix, wherever it is packed
            entry.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            with archive.open(entry, "w") as into, path.open("rb") as source:
                shutil.copyfileobj(source, into)
    target.seek(0)
    return target


def digest(packed: io.BufferedRandom) -> str:
    """Return the SHA-256 of a file in hex; afterwards it is read from the start again."""
    sha256 = hashlib.file_digest(packed, "sha256").hexdigest()
    packed.seek(0)
    return sha256


def bootstrap(folder: Path = WORKER) -> dict[str, str]:
    """Return path below /opt/pipeline/source -> text of the files that download the others."""
    found = files(folder)
    return {f"worker/{name}": found[f"worker/{name}"].read_text("utf-8") for name in BOOTSTRAP}


def files(folder: Path = WORKER) -> dict[str, Path]:
    """Return path below /opt/pipeline/source -> file of the worker, in a fixed order."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        wanted = path.suffix in SUFFIXES or name.name == LOCK
        wanted |= (path.parent.name, path.suffix) == PREBUILT
        if path.is_file() and wanted and all(map(is_shipped, name.parts)):
            found[f"worker/{name.as_posix()}"] = path
    return dict(sorted(found.items()))


def located(folder: str) -> Path:
    """Return where a folder in the settings is: below the checkout, unless its path is absolute."""
    return CHECKOUT / os.path.expanduser(folder)  # noqa: PTH111  pathlib raises for no such user
