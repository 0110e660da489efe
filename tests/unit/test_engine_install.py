"""Installing Pulumi's CLI: built with a stand-in for Go, alone and in the background."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from cli.engine import VERSION
from cli.engine.install import install, installed_root
from tests.checkout import PROJECT
from tests.eventually import eventually, patience
from worker.errors import PipelineError

#: `go list` names two packages; `go build` compiles them, waits for the file `go-on`, and writes a
#: program to the argument of -o.
GO = """#!/bin/sh
here=$(dirname "$0")
case $1 in
list) printf 'a\\nb\\n' ;;
build)
    printf 'a\\n' >&2
    touch "$here/compiling"
    while ! [ -e "$here/go-on" ]; do sleep 0.05; done
    printf 'b\\n' >&2
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho built\\n' >"$2"
    chmod +x "$2"
    ;;
esac
"""


WAITING = "Waiting for Pulumi's CLI, which another process is installing"


class Steps:
    """A report that keeps what it gets."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.done = 0

    def step(self, text: str, total: int = 0) -> None:
        self.steps.append(f"{text} ({total})" if total else text)

    def advance_to(self, done: int) -> None:
        self.done = max(self.done, done)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the stand-in, on a PATH without Pulumi; no release can be downloaded."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "go").write_text(GO)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    return folder


@pytest.fixture
def command() -> Iterator["subprocess.Popen[bytes]"]:
    """The `./pipeline` for which an installation runs in the background."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def background(
    tools: Path, command: "subprocess.Popen[bytes]"
) -> Iterator["subprocess.Popen[bytes]"]:
    """An installation in the background that is compiling."""
    program = [sys.executable, "-m", "cli.engine.install", str(command.pid)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(program, env=environment) as process:
        eventually((tools / "compiling").exists)
        yield process
        (tools / "go-on").touch()


def test_cli_is_built_where_no_release_can_be_downloaded(tools: Path, tmp_path: Path) -> None:
    (tools / "go-on").touch()
    report = Steps()
    root = install(report)
    binary = str(root / "bin" / "pulumi")
    assert subprocess.run([binary], capture_output=True, check=True).stdout == b"built\n"
    assert report.steps[-3:] == [
        "Fetching Pulumi's Go modules",
        "Compiling Go packages (2)",
        "Pulumi's CLI is ready; removing what it was built with, once",
    ]
    assert report.done == 2
    assert installed_root() == root
    assert [path.name for path in (tmp_path / "cache/image-pipeline").iterdir()] == [root.name]


def test_command_follows_installation_in_background(
    tools: Path,
    tmp_path: Path,
    background: "subprocess.Popen[bytes]",
    command: "subprocess.Popen[bytes]",
) -> None:
    class Released(Steps):
        def advance_to(self, done: int) -> None:
            super().advance_to(done)
            if done:
                (tools / "go-on").touch()

    report = Released()
    assert install(report) == installed_root()
    assert report.steps[:2] == [WAITING, "Compiling Go packages (2)"]
    assert report.done >= 1
    command.kill()  # the command may end before the folder of the build is removed
    command.wait()
    assert background.wait(60 * patience()) == 0
    found = [path.name for path in (tmp_path / "cache/image-pipeline").iterdir()]
    assert found == [f"pulumi-{VERSION}"]


def test_command_follows_installation_of_another_command(tools: Path) -> None:
    installation = "from cli.engine.find import pulumi_root; pulumi_root()"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}

    class Released(Steps):
        def advance_to(self, done: int) -> None:
            super().advance_to(done)
            if done:
                (tools / "go-on").touch()

    with subprocess.Popen([sys.executable, "-c", installation], env=environment) as other:
        eventually((tools / "compiling").exists)
        report = Released()
        assert install(report) == installed_root()
        assert other.wait(60 * patience()) == 0
    assert report.steps[:2] == [WAITING, "Compiling Go packages (2)"]


def test_installation_ends_with_its_command(
    background: "subprocess.Popen[bytes]", command: "subprocess.Popen[bytes]"
) -> None:
    family = [psutil.Process(background.pid), *psutil.Process(background.pid).children(True)]
    assert len(family) > 1
    command.kill()
    command.wait()
    _, alive = psutil.wait_procs(family, timeout=60 * patience())
    assert alive == []
    assert installed_root() is None


def test_failed_build_names_the_cause(tools: Path) -> None:
    (tools / "go").write_text("#!/bin/sh\necho 'module is missing' >&2\nexit 1\n")
    with pytest.raises(PipelineError, match=r"'go list -deps' said: module is missing\): install"):
        install(Steps())


def test_go_module_pins_the_version() -> None:
    text = (PROJECT / "cli" / "engine" / "go" / "go.mod").read_text()
    assert re.findall(r"github.com/pulumi/pulumi/pkg/v3 v(\S+)", text) == [VERSION]
