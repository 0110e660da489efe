"""OpenStack's packages in a virtual environment below the user's cache, made once for all pins."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.paths import cache_folder
from tests.openstack.services.errors import ServicesError

HERE = Path(__file__).parent
CONSTRAINTS = HERE / "constraints.txt"
#: What constraints.txt pins, with all it needs; pyuwsgi is uWSGI as wheels: nothing is compiled.
PACKAGES = (
    *("keystone", "nova", "neutron", "glance", "openstack-placement", "trove"),
    *("pymysql", "pyuwsgi"),
)
INSTALLER = "uv"


def folder() -> Path:
    """Where the environment of these pins lies, whether or not it is complete."""
    version = ".".join(map(str, sys.version_info[:2]))
    digest = hashlib.sha256(CONSTRAINTS.read_bytes() + repr((PACKAGES, version)).encode())
    return cache_folder() / f"openstack-{digest.hexdigest()[:12]}"


def environment() -> Path:
    """The environment, installed when it is not (minutes; packages come from PyPI)."""
    place = folder()
    with alone():
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            _install(place)
            (place / "complete").touch()
    return place


@contextmanager
def alone() -> Iterator[None]:
    """Keeps a second run from making the same things in the cache meanwhile; a kill lets go."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "openstack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(place: Path) -> None:
    _run([sys.executable, "-m", "venv", str(place)])
    python = str(place / "bin/python")
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]
    pins = ["--constraint", str(CONSTRAINTS)]
    try:
        _run([*pip, "install", *pins, INSTALLER])
        uv = [str(place / "bin" / INSTALLER), "pip", "install", "--no-cache", "--compile-bytecode"]
        _run([*uv, "--python", python, *pins, *PACKAGES])
    except ServicesError:
        # A machine that reaches its registry through pip's configuration alone: slower.
        _run([*pip, "install", *pins, *PACKAGES])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ServicesError(f"OpenStack's packages could not be installed: {last}")
