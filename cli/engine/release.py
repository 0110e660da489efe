"""The official release of the Pulumi CLI, as its installer script would fetch it."""

import platform
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from cli.engine import VERSION
from cli.terminal import ProgressBar, progress_bar

# https://www.pulumi.com/docs/iac/download-install/: the installer script reads these archives.
_ARCHIVE = "https://get.pulumi.com/releases/sdk/pulumi-v{version}-{system}-{machine}.tar.gz"
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_CONNECT_SECONDS = 15
_CHUNK = 1 << 20


class _Counted:
    """A stream that says how much of it was read; tarfile wants `read` alone."""

    def __init__(self, stream: IO[bytes], bar: ProgressBar) -> None:
        self._stream, self._bar, self._bytes = stream, bar, 0

    def read(self, size: int = _CHUNK) -> bytes:
        chunk = self._stream.read(size)
        self._bytes += len(chunk)
        self._bar.advance_to(self._bytes >> 20)
        return chunk


def download(bin_folder: Path) -> str | None:
    """Unpack the release's programs into `bin_folder`; None if that went well, else why not."""
    machine = _MACHINES.get(platform.machine().lower())
    if machine is None:
        return f"there is none for {platform.machine()}"
    address = _ARCHIVE.format(version=VERSION, system=platform.system().lower(), machine=machine)
    try:
        with urllib.request.urlopen(address, timeout=_CONNECT_SECONDS) as answer:  # noqa: S310
            _unpack(answer, int(answer.headers.get("Content-Length", 0)), bin_folder)
    except (urllib.error.URLError, OSError, tarfile.TarError) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason)  # "no route", not "[Errno 113]"
    return None


def _unpack(stream: IO[bytes], length: int, bin_folder: Path) -> None:
    with (
        progress_bar("Downloading Pulumi (MB)", length >> 20) as bar,
        tarfile.open(fileobj=_Counted(stream, bar), mode="r|gz") as archive,  # type: ignore[call-overload]
    ):
        for member in archive:
            if member.isfile():
                member.name = Path(member.name).name
                archive.extract(member, bin_folder, filter="data")
