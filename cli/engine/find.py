"""Finds Pulumi's CLI: on PATH, else installed in the cache; else installs it there."""

import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from cli.engine import VERSION, launcher
from cli.engine.install import install, installed_root
from cli.paths import cache_folder
from cli.terminal import ProgressBar, print_progress, progress_bar, spinner


def pulumi_root() -> Path:
    """Return a folder with `bin/pulumi` (what the Automation API needs), installed if need be.

    Raises:
        PipelineError: It can be neither downloaded nor built.
    """
    found = _on_path() or installed_root()
    if found:
        return found
    with ExitStack() as shown:
        return install(_OnTerminal(shown))


def is_new_enough(version: str) -> bool:
    """Whether an answer of `pulumi version` is at least VERSION."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return match is not None and tuple(map(int, match.groups())) >= tuple(
        map(int, VERSION.split("."))
    )


class _OnTerminal:
    """The report of an installation: a spinner or a progress bar for each step."""

    def __init__(self, shown: ExitStack) -> None:
        self._shown = shown
        self._bar: ProgressBar | None = None

    def step(self, text: str, total: int = 0) -> None:
        """Show the step instead of the last one."""
        self._shown.close()
        if total:
            self._bar = self._shown.enter_context(progress_bar(text, total))
        else:
            self._bar = None
            self._shown.enter_context(spinner(text))

    def advance_to(self, done: int) -> None:
        """Show how far the step is."""
        if self._bar:
            self._bar.advance_to(done)


def _on_path() -> Path | None:
    """Return the root of a `pulumi` on PATH that is new enough; report an older one."""
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
    """Return a root with links: the Automation API needs a folder `bin`, the installer has none."""
    root = cache_folder() / "pulumi-on-path"
    launcher.link(binary, root / "bin" / "pulumi")
    for language in binary.parent.glob("pulumi-*"):
        launcher.link(language, root / "bin" / language.name)
    return root
