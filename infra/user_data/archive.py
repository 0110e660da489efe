"""The worker's package as one zip, which a machine downloads from the object store.

Its bytes are the same from every clone, umask and Python: another hash replaces the machine.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

WORKER = Path(__file__).resolve().parents[2] / "worker"
#: What of worker/ runs on the machine: sources, migrations and the lock of its packages.
SUFFIXES = (".py", ".sql", ".c", ".h", ".toml")
LOCK = "requirements.txt"
#: What worker/bootstrap.py imports of its own package: the part in user-data.
BOOTSTRAP = (
    *("__init__.py", "bootstrap.py", "errors.py", "settings.py"),
    *("store/__init__.py", "store/client.py", "store/connection.py", "store/retries.py"),
)
#: Prefix of its object key, which keeps it apart from users' objects.
FOLDER = ".image-pipeline"


@dataclass(frozen=True)
class Archive:
    """A zip and its key in the object store."""

    content: bytes

    @property
    def sha256(self) -> str:
        """The zip's SHA-256, in hex."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def key(self) -> str:
        """The object's key, which differs for another worker."""
        return f"{FOLDER}/worker-{self.sha256[:16]}.zip"


def pack(folder: Path = WORKER) -> Archive:
    """Pack a worker's folder."""
    target = io.BytesIO()
    # Stored: interpreters link different zlibs, which pack differently.
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files(folder).items():
            entry = zipfile.ZipInfo(name)  # its time is 1980, always
            entry.create_system = 3  # Unix, wherever it is packed
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text)
    return Archive(target.getvalue())


def bootstrap(folder: Path = WORKER) -> dict[str, str]:
    """Return path below /opt/pipeline/source -> text of the files that download the others."""
    found = files(folder)
    return {f"worker/{name}": found[f"worker/{name}"] for name in BOOTSTRAP}


def files(folder: Path = WORKER) -> dict[str, str]:
    """Return path below /opt/pipeline/source -> text of the worker's files, in a fixed order."""
    found = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        hidden = any(part.startswith((".", "__pycache__")) for part in name.parts)
        wanted = path.suffix in SUFFIXES or name.as_posix() == LOCK
        if path.is_file() and wanted and not hidden:
            found[f"worker/{name.as_posix()}"] = path.read_text(encoding="utf-8")
    return dict(sorted(found.items()))
