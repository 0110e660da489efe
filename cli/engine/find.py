"""The Pulumi CLI: on PATH, else cached, else the official release, else built from Go modules."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from cli.engine import VERSION, build, launcher, release
from cli.errors import CommandError
from cli.paths import cache_folder, make_cache_folder
from cli.terminal import print_progress
from local import file_lock

_HASH = "pulumi.sha256"


def pulumi_root() -> Path:
    """A folder with `bin/pulumi` (what the Automation API asks for), made if need be.

    Raises CommandError if there is no way to get one.
    """
    found = _on_path()
    if found:
        return found
    root = cache_folder() / f"pulumi-{VERSION}"
    if not _is_whole(root):
        _install(root)
    return root


def _on_path() -> Path | None:
    """The root of a `pulumi` on PATH that is new enough; an older one is named and left alone."""
    name = shutil.which("pulumi")
    if name is None:
        return None
    answer = subprocess.run([name, "version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip()
    if not is_new_enough(version):
        print_progress(
            f"pulumi on PATH is {version or 'not working'}, older than v{VERSION}: using our own."
        )
        return None
    binary = Path(name).resolve()
    return binary.parent.parent if binary.parent.name == "bin" else _linked(binary)


def _linked(binary: Path) -> Path:
    """The Automation API wants `<root>/bin/pulumi`; the official installer has no `bin`."""
    root = cache_folder() / "pulumi-on-path"
    launcher.link(binary, root / "bin" / "pulumi")
    for language in binary.parent.glob("pulumi-*"):
        launcher.link(language, root / "bin" / language.name)
    return root


def is_new_enough(version: str) -> bool:
    """Whether `pulumi version`'s answer is at least the version we are checked with."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return match is not None and tuple(map(int, match.groups())) >= tuple(
        map(int, VERSION.split("."))
    )


def _is_whole(root: Path) -> bool:
    """Whether the cached binary is the one that was installed: an interrupted copy is not."""
    binary, recorded = root / "bin" / "pulumi", root / _HASH
    if not (binary.is_file() and recorded.is_file()):
        return False
    return _sha256(binary) == recorded.read_text().strip()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _install(root: Path) -> None:
    """Put a CLI into the cache: made aside and moved in whole; a killed install leaves no half."""
    aside = cache_folder() / "install"
    make_cache_folder()
    with file_lock.hold(cache_folder()):
        shutil.rmtree(aside, ignore_errors=True)  # a killed install's
        if not _is_whole(root):  # somebody else's install, for which we waited
            _make(aside, root)


def _make(aside: Path, root: Path) -> None:
    try:
        staged = aside / "root"
        (staged / "bin").mkdir(parents=True)
        reason = release.download(staged / "bin")
        if reason:
            print_progress(f"The official release of Pulumi cannot be had here ({reason}).")
            build.build(aside, staged / "bin" / "pulumi")
        (staged / _HASH).write_text(_sha256(staged / "bin" / "pulumi"))
        shutil.rmtree(root, ignore_errors=True)
        staged.replace(root)
    except OSError as error:
        raise CommandError(
            f"Pulumi's command could not be put into {root} ({error}): make room or make the "
            "folder writable, then run the same command again."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
