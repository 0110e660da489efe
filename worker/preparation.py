"""`worker prepare`: download, unpack and install what a pipeline's transform needs.

All of it is named by its content, below `Settings.prepared`: a user's folder in `folders/`, a
virtual environment in `venvs/`, a resource such as a model in `files/`. Each is made under a lock
and appears in one step, so several processes may prepare at once, and any of them may be killed.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

from worker.bootstrap import ACCESS_KEY, SECRET_KEY
from worker.environment import (
    INTERPRETER,
    Environment,
    needs_preparation,
    record_of,
    requirements_of,
    resources_of,
)
from worker.errors import InvalidSettings, NoResponse, RequestRefused, ServiceUnavailable
from worker.settings import Package, Pipeline, Settings
from worker.store.client import Client, Signer
from worker.transforms import Resource

_HUB = "https://huggingface.co"
_HUB_SECONDS = 60  # without any byte
_PIECE_BYTES = 1 << 20
_PIP_WHEEL = "pip-*.whl"
#: Debian's packages that contain it; a machine has them only if something needs pip.
_PIP_PACKAGES = ("python3-venv",)
_REFRESH = "run `./pipeline refresh` and `up`"


def prepare(settings: Settings, pipeline: Pipeline, installer: Path | None = None) -> None:
    """Make what a pipeline's transform needs, unless it is there.

    Args:
        settings: The stack's.
        pipeline: The pipeline.
        installer: The script that installs Debian packages (cloud-init/install); None leaves them
            out, on a machine that is a process of a user's computer.

    Raises:
        ServiceUnavailable: It cannot be downloaded, installed or written; `environment_of` repeats
            the sentence.
        InvalidSettings: There is no such transform, or its parameters are wrong.
    """  # noqa: DOC502  raised by needs_preparation
    if not needs_preparation(pipeline):
        return
    record = record_of(settings, pipeline)
    try:
        made = _make(settings, pipeline, installer)
        os.sync()  # what is recorded as ready survives a loss of power
        _write(record.ready, json.dumps({"python": str(made.python), **made.as_json()}))
        record.problem.unlink(missing_ok=True)
    except (ServiceUnavailable, InvalidSettings, OSError) as error:
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"{settings.prepared} cannot be written: {error.strerror or error}."
        with suppress(OSError):
            _write(record.problem, reason)
        raise ServiceUnavailable(reason) from error


def _make(settings: Settings, pipeline: Pipeline, installer: Path | None) -> Environment:
    settings.prepared.mkdir(parents=True, exist_ok=True)
    if pipeline.apt:
        _install_packages(pipeline.apt, installer)
    folder = _folder(settings, pipeline) if pipeline.folder.sha256 else None
    files = {one.name: _file(settings, one, folder) for one in resources_of(pipeline)}
    made = Environment(folder=folder, files=files)
    if requirements := requirements_of(pipeline, folder):
        if installer:
            require_pip(installer)
        venvs = settings.prepared / "venvs"
        python = virtual_environment(venvs, requirements, f"pipeline {pipeline.name}")
        made = replace(made, python=python)
    return made


def _once(target: Path, make: Callable[[Path], None]) -> Path:
    """Make a file or folder unless it is there: it appears in one step, complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with target.with_name(f".{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _remove(partial)
            make(partial)
            partial.rename(target)
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.rename(path)


def _run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program and print its output."""
    done = subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    print(done.stdout, end="", flush=True)
    return done


def _install_packages(
    packages: Sequence[str], installer: Path | None, origin: str = "of `apt`"
) -> None:
    names = " ".join(packages)
    if installer is None:
        print(f"Debian packages are not installed here ({names}): this computer must have them.")
        return
    done = _run(installer, "packages", *packages)
    if done.returncode:
        raise ServiceUnavailable(
            f"The Debian packages {origin} ({names}) cannot be installed:"
            f" {_last_error(done.stdout, 'E: ')}."
        )


def _folder(settings: Settings, pipeline: Pipeline) -> Path:
    package = pipeline.folder

    def make(partial: Path) -> None:
        content = partial.with_suffix(".zip")
        print(f"Downloading the folder of {pipeline.name}", flush=True)
        _download(settings, settings.store.quarantine, package, content)
        try:
            _unpack(content, partial)
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ServiceUnavailable(f"{package.key} is not a zip file ({error}).") from error
        finally:
            content.unlink()

    return _once(settings.prepared / "folders" / package.sha256, make)


def _unpack(source: Path, target: Path) -> None:
    """Unpack files, executable or not, and nothing else: no links, nothing outside of `target`."""
    target.mkdir()
    with zipfile.ZipFile(source) as packed:
        for entry in packed.infolist():
            name, mode = PurePosixPath(entry.filename), entry.external_attr >> 16
            kind = stat.S_IFMT(mode)
            if name.is_absolute() or ".." in name.parts or kind not in (0, stat.S_IFREG):
                raise ServiceUnavailable(
                    f"The folder has {entry.filename!r}, which is not a file below it: remove it."
                )
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(entry) as inside, path.open("xb") as outside:
                shutil.copyfileobj(inside, outside, _PIECE_BYTES)
            path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def virtual_environment(venvs: Path, requirements: Path, user: str) -> Path:
    """Install locked packages into a virtual environment of their own, once.

    Args:
        venvs: The folder of all of them.
        requirements: What is installed, each file with its hash.
        user: What needs it, for the log.

    Returns:
        Its Python.

    Raises:
        ServiceUnavailable: The packages cannot be installed.
    """  # noqa: DOC502  raised by install_by_pip
    locked = requirements.read_bytes()
    name = hashlib.sha256(INTERPRETER.encode() + b"\0" + locked).hexdigest()[:32]
    # Scripts in it name the path of its interpreter, so it is made where it stays.
    folder = venvs / name
    python = folder / "bin/python"

    def make(partial: Path) -> None:
        print(f"Installing the Python packages of {user}", flush=True)
        if folder.exists():
            shutil.rmtree(folder)
        venv.create(folder, symlinks=True)
        install_by_pip(python, requirements)
        partial.touch()

    _once(venvs / f"{name}.ready", make)
    return python


def require_pip(installer: Path) -> None:
    """Install pip from Debian's packages, unless it is there.

    Args:
        installer: The script that installs Debian packages.

    Raises:
        ServiceUnavailable: They cannot be installed.
    """  # noqa: DOC502  raised by _install_packages
    if not _pip_wheels():
        _install_packages(_PIP_PACKAGES, installer, "with pip")


def install_by_pip(python: Path, requirements: Path) -> None:
    """Install locked packages into a virtual environment.

    Args:
        python: The environment's Python.
        requirements: The packages, each file with its hash.

    Raises:
        ServiceUnavailable: They cannot be installed.
    """
    # -I: the worker's PYTHONPATH is not pip's. Settings that say where packages come from are in
    # pip's own variables and files.
    done = _run(
        *(python, "-I", _pip_program(), "--disable-pip-version-check", "--no-input"),
        *("install", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:"),
        *("--no-cache-dir", "--retries", "5", "--requirement", requirements),
    )
    if done.returncode:
        raise ServiceUnavailable(
            f"The packages of requirements.txt cannot be installed: {_pip_reason(done.stdout)}."
        )


def _pip_program() -> Path:
    """Return pip inside the wheel that Python brings: installing it into each venv takes longer."""
    if wheels := _pip_wheels():
        return wheels[0] / "pip"
    raise ServiceUnavailable(f"{sys.executable} has no pip: install python3-venv.")


def _pip_wheels() -> list[Path]:
    bundled = Path(sysconfig.get_path("stdlib")) / "ensurepip/_bundled"
    folders = (Path("/usr/share/python-wheels"), bundled)  # Debian keeps it apart
    return [wheel for folder in folders for wheel in sorted(folder.glob(_PIP_WHEEL))]


def _pip_reason(output: str) -> str:
    if found := re.search(r"^ +(\S+).*:\n +Expected sha256 (\S+)\n +Got +(\S+)", output, re.M):
        name, wanted, got = found.groups()
        return f"{name} has the SHA-256 {got}, not {wanted}"
    return _last_error(output, "ERROR: ")


def _last_error(output: str, mark: str) -> str:
    """Return the last line that a program marked as an error, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    return (marked or lines or ["it printed nothing"])[-1].rstrip(".")


def _file(settings: Settings, resource: Resource, folder: Path | None) -> Path:
    if "://" not in resource.location:
        return _shipped(folder, resource)

    def make(partial: Path) -> None:
        print(f"Downloading {resource.location}", flush=True)
        scheme, _, rest = resource.location.partition("://")
        if scheme == "s3":
            bucket, _, key = rest.partition("/")
            _download(settings, bucket, Package(key, resource.sha256), partial)
        else:
            _download_from_hub(rest, resource, partial)
        partial.chmod(0o644)

    return _once(settings.prepared / "files" / resource.sha256, make)


def _shipped(folder: Path | None, resource: Resource) -> Path:
    """Return a resource that is a file of the pipeline's folder."""
    path = folder and folder / resource.location
    if not (path and path.is_file()):
        raise ServiceUnavailable(f"The pipeline's folder has no file {resource.location}: add it.")
    if resource.sha256:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        _check(resource.location, found, resource.sha256)
    return path


@dataclass
class _HashedFile:
    """A file that is being received, and the SHA-256 of its content so far."""

    file: BinaryIO

    def restart(self) -> Callable[[bytes | memoryview], None]:
        """Forget what an earlier attempt received."""
        self.file.seek(0)
        self.file.truncate()
        self._digest = hashlib.sha256()
        return self.receive

    def receive(self, piece: bytes | memoryview) -> None:
        """Append a piece."""
        self._digest.update(piece)
        self.file.write(piece)

    def check(self, name: str, sha256: str) -> None:
        """Raise ServiceUnavailable if the content is not what it should be."""
        _check(name, self._digest.hexdigest(), sha256)


def _check(name: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise ServiceUnavailable(
            f"{name} has the SHA-256 {found}, not {wanted}: it is another file, or has changed."
        )


def _download(settings: Settings, bucket: str, package: Package, target: Path) -> None:
    store = settings.store
    keys = (settings.credential(ACCESS_KEY), settings.credential(SECRET_KEY))
    client = Client(store.endpoint, Signer(store.region or "us-east-1", *keys))
    try:
        with target.open("wb") as file:
            received = _HashedFile(file)
            client.call("GET", bucket, package.key, sink=received.restart)
            received.check(f"{package.key} in bucket {bucket}", package.sha256)
    except RequestRefused as error:
        raise ServiceUnavailable(
            f"The object store refuses {package.key} in bucket {bucket} ({error.code}): {_REFRESH}"
            " if it is a folder's, else correct the name."
        ) from error
    except NoResponse as error:
        raise ServiceUnavailable(
            f"The object store {store.endpoint} does not respond: {error}."
        ) from error


def _download_from_hub(place: str, resource: Resource, target: Path) -> None:
    """Download ORGANISATION/NAME@REVISION/FILE (https://huggingface.co/docs/hub/models-downloading)."""
    endpoint = (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")
    model, _, rest = place.partition("@")
    revision, _, file_name = rest.partition("/")
    url = f"{endpoint}/{quote(model)}/resolve/{quote(revision, safe='')}/{quote(file_name)}"
    if not url.startswith(("https://", "http://")):
        raise ServiceUnavailable(f"HF_ENDPOINT is {endpoint!r}: it must begin with https://.")
    try:
        with (
            urlopen(url, timeout=_HUB_SECONDS) as response,  # noqa: S310  checked above
            target.open("wb") as file,
        ):
            received = _HashedFile(file)
            receive = received.restart()
            while piece := response.read(_PIECE_BYTES):
                receive(piece)
            received.check(resource.location, resource.sha256)
    except HTTPError as error:
        raise ServiceUnavailable(
            f"{endpoint} refuses {resource.location} ({error.code} {error.reason}): check the"
            " model's name, revision and file."
        ) from error
    except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
        raise ServiceUnavailable(
            f"{resource.location} cannot be downloaded from {endpoint}"
            f" ({getattr(error, 'reason', '') or error}): let the machine reach it, or put the"
            " file into a bucket."
        ) from error
