"""The seeded databases, made once and kept beside the environment: a start then takes seconds."""

import hashlib
import signal
import subprocess
import tarfile
import tempfile
from pathlib import Path

from local import processes
from tests.openstack.services import (
    configuration,
    daemons,
    databases,
    entries,
    guardian,
    prerequisites,
    schemas,
    seed,
)
from tests.openstack.services.layout import Layout

HERE = Path(__file__).parent
#: Of other states of the checkout, so that two of them do not undo each other's.
KEPT = 3
#: What decides what a snapshot holds.
SOURCES = (
    *("etc/*.sql", "constraints.txt", "databases.py", "schemas.py", "seed.py"),
    "stand_ins/trove_datastores.py",
)


def unpack(layout: Layout) -> None:
    """Give the folder seeded databases; `make` has made them."""
    with tarfile.open(path(layout.environment)) as archive:
        archive.extractall(layout.root, filter="data")


def path(environment: Path) -> Path:
    """Where the snapshot of these sources lies, whether or not it is there."""
    return environment / f"state-{_digest()}.tar.gz"


def make(environment: Path) -> None:
    """Make the snapshot when there is none; `installation.alone` guards it."""
    wanted = path(environment)
    if wanted.exists():
        return
    others = sorted(environment.glob("state-*.tar.gz"), key=lambda each: each.stat().st_mtime)
    for old in others[: 1 - KEPT]:
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="image-pipeline-seed-") as name:
        layout = Layout(Path(name), environment)
        with guardian.watching(layout.root):
            try:
                _seed(layout)
                # Only a regular shutdown leaves the databases complete.
                processes.end(layout.root, signal.SIGTERM, seconds=120)
            finally:
                processes.end(layout.root, signal.SIGKILL)
        part = wanted.with_suffix(".part")
        with tarfile.open(part, "w:gz", compresslevel=1) as archive:
            archive.add(layout.state, "state")
        part.rename(wanted)


def correct_addresses(layout: Layout) -> None:
    """Write this folder's addresses into databases that were seeded in another one."""
    databases.execute(layout, "addresses.sql")


def _seed(layout: Layout) -> None:
    for folder in (layout.etc, layout.state, layout.run):
        folder.mkdir(mode=0o700)
    (layout.state / "images").mkdir()
    configuration.write(layout)
    entries.write(layout)
    databases.create(layout)
    databases.start(layout)
    schemas.create(layout)
    keystones, apis = daemons.identities(layout), daemons.apis(layout)
    for daemon in keystones:
        daemons.start(layout, daemon)
    for daemon in keystones:
        daemons.await_answer(layout, daemon)
    seed.identities(layout)
    correct_addresses(layout)
    for daemon in apis:
        daemons.start(layout, daemon)
    for daemon in apis:
        daemons.await_answer(layout, daemon)
    seed.resources(layout)


def _digest() -> str:
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(HERE.glob(pattern)):
            digest.update(path.name.encode() + path.read_bytes())
    version = subprocess.run(
        [prerequisites.program("mariadbd"), "--version"], capture_output=True, check=True
    )
    digest.update(version.stdout)
    return digest.hexdigest()[:12]
