"""The script ./pipeline: when it installs packages, and Ctrl-C while it starts."""

import os
import pty
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.checkout import PROJECT
from tests.engine.terminal import Terminal

# Stands for .venv/bin/python and .venv/bin/uv: records what it is asked to install.
STUB = """#!/bin/sh
case "$*" in
-V) cat "{folder}/version" ;;
*install*) echo "$0 $*" >>"{folder}/installed" ;;
*"-m cli"*) echo "cli ran" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script with stand-ins for Python and uv."""
    (tmp_path / "cli").mkdir()
    for name in ("pipeline", "pyproject.toml", "cli/requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "uv"):
        (programs / name).write_text(STUB.format(folder=tmp_path))
        (programs / name).chmod(0o755)
    (tmp_path / "version").write_text("Python 3.11.2\n")
    run(tmp_path, "log")
    (tmp_path / "installed").unlink()
    return tmp_path


def run(checkout: Path, *words: str) -> bool:
    """Run the script; whether it installed anything."""
    answer = subprocess.run(
        ["./pipeline", *words], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "cli ran\n"
    return (checkout / "installed").exists()


def test_packages_are_installed_once(checkout: Path) -> None:
    assert not run(checkout, "log")


def test_the_command_runs_after_packages_were_installed_on_a_terminal(checkout: Path) -> None:
    """Where seconds are counted meanwhile, which must end."""
    (checkout / "version").write_text("Python 3.13.1\n")
    with Terminal(["./pipeline", "log"], checkout, dict(os.environ)) as person:
        assert "cli ran" in person.end()
    assert (checkout / "installed").exists()


def test_tests_need_more_packages(checkout: Path) -> None:
    assert run(checkout, "test")
    assert "--group" in (checkout / "installed").read_text()
    assert ":test" in (checkout / "installed").read_text()


@pytest.mark.parametrize("value", ["aws", '"aws"'])
def test_only_a_stack_on_aws_needs_its_sdk(checkout: Path, value: str) -> None:
    """Bare `pulumi` downloads the provider of each SDK that is installed."""
    settings = checkout / "Pulumi.lab.yaml"
    settings.write_text("config:\n  image-pipeline:objectStore: openstack\n")
    assert not run(checkout, "log")
    settings.write_text(f"config:\n  image-pipeline:objectStore: {value}\n")
    assert run(checkout, "log")
    assert ":aws" in (checkout / "installed").read_text()
    (checkout / "installed").unlink()
    assert not run(checkout, "log")


def test_packages_of_benches_include_all_others(checkout: Path) -> None:
    assert run(checkout, "bench")
    (checkout / "installed").unlink()
    assert not run(checkout, "test")
    assert not run(checkout, "test", "--all")


def test_all_tests_need_the_packages_of_benches(checkout: Path) -> None:
    """They run each benchmark, while other processes use what is installed."""
    assert run(checkout, "test", "--all")
    (checkout / "installed").unlink()
    assert not run(checkout, "bench")


@pytest.mark.parametrize("name", ["cli/requirements.txt", "pyproject.toml"])
def test_a_changed_version_is_installed(checkout: Path, name: str) -> None:
    file = checkout / name
    file.write_text(file.read_text().replace("boto3==1.", "boto3==2."))
    assert run(checkout, "log")
    (checkout / "installed").unlink()
    assert not run(checkout, "log")


def test_an_upgraded_python_gets_its_packages(checkout: Path) -> None:
    (checkout / "version").write_text("Python 3.13.1\n")
    assert run(checkout, "log")


def test_settings_of_tools_install_nothing(checkout: Path) -> None:
    file = checkout / "pyproject.toml"
    file.write_text(file.read_text() + "\n[tool.other]\nsetting = 1\n")
    assert not run(checkout, "log")


@pytest.mark.parametrize("delay", [0.02, 0.05, 0.08, 0.12, 0.2, 0.4])
def test_ctrl_c_while_it_starts_prints_no_traceback(delay: float) -> None:
    ours, theirs = pty.openpty()
    # Not by pty.fork: until its exec, the copy of this process would raise KeyboardInterrupt.
    command = ["env", "--default-signal=INT", "setsid", "--ctty", "./pipeline", "log"]
    with subprocess.Popen(
        command, cwd=PROJECT, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        time.sleep(delay)
        os.write(ours, b"\x03")
        output = b""
        with suppress(OSError):  # Linux: the process has ended
            while chunk := os.read(ours, 4096):
                output += chunk
    os.close(ours)
    # 0 and 1: `log` had ended before, or the key came before the script began.
    assert process.returncode in (-2, 0, 1, 130)
    assert b"Traceback" not in output
