"""Shell completion of ./pipeline, in real shells."""

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cli.commands import completion
from tests.checkout import PROJECT
from tests.eventually import patience

_BASH = """
eval "$(./pipeline completion bash)"
complete -p pipeline >/dev/null || exit 1
COMP_WORDS=(%s)
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_pipeline_completion ./pipeline
printf '%%s\\n' "${COMPREPLY[@]}"
"""


def bash(line: str, data: Path) -> list[str]:
    """Return what bash offers for a command line."""
    answer = subprocess.run(
        ["bash", "--norc", "-c", _BASH % line],
        cwd=PROJECT,
        env={**os.environ, "XDG_DATA_HOME": str(data)},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("./pipeline sta", ["status"]),
        ("./pipeline che", ["check-store"]),
        ("./pipeline completion ''", ["bash", "zsh", "fish"]),
        ("./pipeline log --q", ["--quarantined"]),
        ("./pipeline log --stack ''", ["local", "lab", "mine"]),
        ("./pipeline pipelines ''", ["create", "delete", "list", "update"]),
        ("./pipeline jobs ''", ["drop", "list", "retry", "run", "show"]),
        ("./pipeline jobs --state d", ["done", "dropped"]),
        ("./pipeline jobs --state done --li", ["--like"]),
        ("./pipeline demo --example ans", ["answers"]),
        ("./pipeline put --pipeline neg", ["negatives"]),
        ("./pipeline ssh --machine ''", ["image-pipeline-local-vm"]),
        ("./pipeline logs --machine no", []),
        ("./pipeline put --stack lab --pipeline ''", []),  # its file is missing
    ],
)
def test_bash_completes(line: str, offered: list[str], tmp_path: Path) -> None:
    for name in ("lab", "mine"):
        (tmp_path / "image-pipeline" / "stacks" / name).mkdir(parents=True)
        (tmp_path / "image-pipeline" / "stacks" / name / "stack.json").write_text("{}")
    assert bash(line, tmp_path) == offered


def test_bash_completes_all_commands(tmp_path: Path) -> None:
    modules = (path.stem for path in (PROJECT / "cli" / "commands").glob("[a-z]*.py"))
    assert bash("./pipeline ''", tmp_path) == sorted(name.replace("_", "-") for name in modules)


def test_the_tab_key_installs_nothing(tmp_path: Path) -> None:
    (tmp_path / "cli").mkdir()
    for name in ("pipeline", "pyproject.toml", "cli/requirements.txt"):
        shutil.copy(PROJECT / name, tmp_path / name)
    words = {"COMP_WORDS": "./pipeline st", "COMP_CWORD": "1"}
    answer = subprocess.run(
        ["./pipeline"],
        cwd=tmp_path,
        env={**os.environ, **words, "_PIPELINE_COMPLETE": "bash_complete"},
        capture_output=True,
        check=True,
    )
    assert (answer.stdout, answer.stderr) == (b"", b"")
    assert not (tmp_path / ".venv").exists()


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes() -> None:
    script = './pipeline completion fish | source; complete -C "./pipeline log --qu"'
    answer = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "--quarantined\tOnly quarantined files.\n"


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes() -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(PROJECT)
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "TERM": "dumb"}
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)  # noqa: S606
    try:
        os.write(terminal, b"autoload -U compinit && compinit -u -D\n")
        os.write(terminal, b'eval "$(./pipeline completion zsh)"; echo re""ady\n')
        read_until(terminal, b"ready")
        os.write(terminal, b"./pipeline log --qu\t")
        read_until(terminal, b"arantined")  # what was missing
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def read_until(terminal: int, expected: bytes) -> None:
    """Read what a terminal shows until it has shown a text."""
    shown, deadline = b"", time.monotonic() + 60 * patience()
    while expected not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096)


def test_every_shell_is_documented() -> None:
    documented = completion.__doc__ or ""
    for shell in ("bash", "zsh", "fish"):
        assert f"./pipeline completion {shell}" in documented
