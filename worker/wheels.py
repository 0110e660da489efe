"""Makes a virtual environment of locked wheels without pip.

Debian's Python has no pip, and a new machine would spend half of the time until its first result on
getting it (docs/measurements.md). A wheel without data files is installed by unpacking it
(https://packaging.python.org/en/latest/specifications/binary-distribution-format/). Each must have
a hash of the lock. What is unusual, such as an index without JSON, is refused: installation.py then
takes pip. Scripts of packages are left out. Standard library only: no package is installed yet.
"""

import configparser
import gzip
import hashlib
import json
import os
import re
import ssl
import sys
import sysconfig
import venv
import zipfile
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPSHandler, Request, build_opener

from worker.errors import ServiceUnavailable

_PYPI = "https://pypi.org/simple"
#: https://packaging.python.org/en/latest/specifications/simple-repository-api/
_JSON = "application/vnd.pypi.simple.v1+json"
_SECONDS = 30  # without any byte
_THREADS = 8
#: Errors of a server that does not respond, or not as the specification says.
_MALFORMED = (
    *(OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError, RecursionError),
    *(EOFError, zipfile.BadZipFile, zlib.error),
)
_REQUIREMENT = re.compile(r"([\w.-]+)==\S+((?:\s+--hash=sha256:[0-9a-f]{64})+)")
_WHEEL = re.compile(r".+-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl")
#: Names of platforms that mean a version of glibc (PEP 600).
_LEGACY = {"manylinux1": "2_5", "manylinux2010": "2_12", "manylinux2014": "2_17"}
_PIP_FILES = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
#: pip's settings that change neither what is downloaded nor from where. A host in `trusted-host`
#: without a valid certificate is refused here, and left to pip.
_IRRELEVANT = {
    *("break-system-packages", "cache-dir", "default-timeout", "disable-pip-version-check"),
    *("no-cache-dir", "no-color", "no-input", "progress-bar", "quiet", "retries", "timeout"),
    *("trusted-host", "verbose"),
}


@dataclass(frozen=True)
class Index:
    """Where packages are downloaded from.

    Attributes:
        url: Its simple repository API, without a slash at the end.
        certificates: The file of the authorities to trust, None for the system's.
    """

    url: str = _PYPI
    certificates: str | None = None


def read_settings() -> dict[str, str]:
    """Return path -> text of pip's configuration files, in pip's order."""
    paths = [path for name in _PIP_FILES if (path := Path(name).expanduser()).exists()]
    return {str(path): path.read_text() for path in paths}


def configured_index(files: Mapping[str, str], environment: Mapping[str, str]) -> Index:
    """Return the index that pip would use.

    Args:
        files: Path -> text of pip's configuration files, in pip's order.
        environment: Variables; pip's begin with PIP_.

    Raises:
        ServiceUnavailable: There are settings that only pip knows.
    """
    found: dict[str, str] = {}
    try:
        for path, text in files.items():
            parser = configparser.RawConfigParser()
            parser.read_string(text, path)
            for section in ("global", "install"):
                found |= parser[section] if parser.has_section(section) else {}
    except configparser.Error as error:
        raise ServiceUnavailable(f"{path} cannot be read: {error.message}.") from error
    for name, value in environment.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    found = {name: value for name, value in found.items() if name not in _IRRELEVANT}
    index = Index(found.pop("index-url", _PYPI).rstrip("/"), found.pop("cert", None))
    if found:
        raise ServiceUnavailable(f"pip is configured with {', '.join(sorted(found))}.")
    if urlsplit(index.url).scheme not in ("https", "http") or "@" in index.url:
        raise ServiceUnavailable(
            "The index of packages must be an http:// or https:// address without a password."
        )
    return index


def read_lock(text: str) -> dict[str, frozenset[str]]:
    """Return package -> SHA-256 hashes of its files, from a lock with exact versions.

    Raises:
        ServiceUnavailable: A line has something else, such as a marker.
    """
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    found = {}
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            if not (match := _REQUIREMENT.fullmatch(line.strip())):
                raise ServiceUnavailable(f"The lock has {line.split()[0]!r} with a condition.")
            found[match[1]] = frozenset(re.findall(r"sha256:(\w+)", match[2]))
    return found


def rank(
    file_name: str, version: tuple[int, int], abi: str, machine: str, glibc: tuple[int, int]
) -> tuple[int, ...] | None:
    """Return how well a wheel fits an interpreter, more is better; None if it does not fit.

    https://packaging.python.org/en/latest/specifications/platform-compatibility-tags/

    Args:
        file_name: The wheel's.
        version: The interpreter's.
        abi: Its ABI, such as cp313.
        machine: The processor's name, such as x86_64.
        glibc: The version of the C library.
    """
    if not (tags := _WHEEL.fullmatch(file_name)):
        return None
    abis = tags["abi"].split(".")
    closeness = next((i for i, one in ((2, abi), (1, "abi3"), (0, "none")) if one in abis), None)
    pythons = [re.fullmatch(r"(cp|py)(\d)(\d*)", one) for one in tags["python"].split(".")]
    is_fit = any(
        (int(one[2]), int(one[3] or 0)) == version
        or ((one[1] == "py" or closeness == 1) and (int(one[2]), int(one[3] or 0)) <= version)
        for one in pythons
        if one and int(one[2]) == version[0]
    )
    platforms = [_platform(one, machine, glibc) for one in tags["platform"].split(".")]
    best = max((one for one in platforms if one is not None), default=None)
    return None if closeness is None or not is_fit or best is None else (closeness, *best)


def _platform(tag: str, machine: str, glibc: tuple[int, int]) -> tuple[int, int] | None:
    """Return the version of glibc that a platform needs, (0, 0) if none; None if it is another."""
    if tag == "any":
        return 0, 0
    name = tag.removesuffix(f"_{machine}")
    wanted = re.fullmatch(
        r"manylinux_(\d+)_(\d+)", f"manylinux_{_LEGACY[name]}" if name in _LEGACY else name
    )
    found = wanted and (int(wanted[1]), int(wanted[2]))
    return found if found and name != tag and found <= glibc else None


class Installer:
    """Downloads wheels of this interpreter and unpacks them.

    Args:
        index: Where from.
        target: The folder of the packages.
    """

    def __init__(self, index: Index, target: Path) -> None:
        self._index, self._target = index, target
        # One for all connections: reading the authorities takes 20 ms.
        tls = ssl.create_default_context(cafile=index.certificates)
        self._open = build_opener(HTTPSHandler(context=tls)).open
        version = sys.version_info[:2]
        library = os.confstr("CS_GNU_LIBC_VERSION") or ""
        major, minor = library.removeprefix("glibc ").split(".")[:2]
        abi = f"cp{version[0]}{version[1]}{sys.abiflags}"
        machine = sysconfig.get_platform().removeprefix("linux-")
        self._rank: Callable[[str], tuple[int, ...] | None] = lambda name: rank(
            name, version, abi, machine, (int(major), int(minor))
        )

    def install(self, name: str, hashes: frozenset[str]) -> None:
        """Install a package.

        Args:
            name: The package.
            hashes: SHA-256 of the files that may be installed.

        Raises:
            ServiceUnavailable: The index has no wheel for this machine, another file than the
                locked one, or a wheel with data files.
        """
        page = f"{self._index.url}/{re.sub(r'[-_.]+', '-', name).lower()}/"
        files = json.loads(self._get(page, _JSON))["files"]
        fitting = [
            (fit, file["filename"], file)
            for file in files
            if file["hashes"].get("sha256") in hashes and (fit := self._rank(file["filename"]))
        ]
        if not fitting:
            raise ServiceUnavailable(f"The index has no wheel of {name} for this machine.")
        _, file_name, file = max(fitting)
        content = self._get(urljoin(page, file["url"]))
        if hashlib.sha256(content).hexdigest() not in hashes:
            raise ServiceUnavailable(f"{file_name} is another file than the locked one.")
        with zipfile.ZipFile(BytesIO(content)) as wheel:
            if any(path.partition("/")[0].endswith(".data") for path in wheel.namelist()):
                raise ServiceUnavailable(f"{file_name} has data files, which only pip places.")
            wheel.extractall(self._target)

    def _get(self, url: str, accepted: str = "*/*") -> bytes:
        headers = {"Accept": accepted, "Accept-Encoding": "gzip"}
        with self._open(Request(url, headers=headers), timeout=_SECONDS) as answer:  # noqa: S310
            content: bytes = answer.read()
            is_packed = answer.headers.get("Content-Encoding") == "gzip"
        return gzip.decompress(content) if is_packed else content


def install(lock: Path, folder: Path, index: Index) -> None:
    """Make a virtual environment of locked packages.

    Args:
        lock: The packages, each with its version and hashes.
        folder: The environment, which must not exist.
        index: Where packages are downloaded from.

    Raises:
        ServiceUnavailable: It cannot be made without pip; a part of it may be there.
    """
    packages = read_lock(lock.read_text())
    try:
        venv.create(folder, symlinks=True)
        target = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
        installer = Installer(index, Path(target))
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(installer.install, packages, packages.values()):
                pass
    except _MALFORMED as error:
        raise ServiceUnavailable(f"{index.url} cannot be used ({error}).") from error
