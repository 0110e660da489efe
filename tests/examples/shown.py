"""Runs of `demo --example`: the output, the results that it fetched, and what it leaves."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cli.paths import cache_folder
from tests.checkout import Checkout
from tests.engine.snapshot import take_snapshot


@dataclass(frozen=True)
class Shown:
    """A demo that has ended.

    Attributes:
        text: What it printed to standard output.
    """

    text: str

    @property
    def folder(self) -> Path:
        """The folder with the results, as PIPELINE/KEY."""
        found = re.search(r"^Results: (.+)$", self.text, re.MULTILINE)
        assert found, self.text
        return Path(found[1])

    def files(self, pipeline: str, suffix: str) -> list[Path]:
        """Return a pipeline's results of a type, sorted by key."""
        found = (self.folder / pipeline).rglob(f"*{suffix}")
        return sorted(path for path in found if path.is_file())

    def jobs(self) -> dict[str, list[str]]:
        """Return pipeline -> states of its jobs, from the table of jobs."""
        row = r"^[0-9a-f]{12} +(?:[0-9a-f]{12} +)?(\S+) +(\S+) "  # id, run, pipeline, state
        found: dict[str, list[str]] = {}
        for pipeline, state in re.findall(row, self.text, re.MULTILINE):
            found.setdefault(pipeline, []).append(state)
        return found

    def log(self, pipeline: str, key: str) -> str:
        """Return the log of a job."""
        found = re.search(
            rf"^log of {re.escape(pipeline)}: \S*{re.escape(key)}\n((?:  .*\n)*)",
            self.text,
            re.MULTILINE,
        )
        assert found, self.text
        return found[1]

    def table(self, query: str) -> list[list[str]]:
        """Return the cells below the heading of a query that begins so."""
        found = re.search(
            rf'^\./pipeline sql "{re.escape(query)}.*\n.*\n((?:\S.*\n)*)', self.text, re.MULTILINE
        )
        assert found, self.text
        return [re.split(r" {2,}", line) for line in found[1].splitlines()]


def show(checkout: Checkout, name: str, *options: str) -> Shown:
    """Run an example's demo; it must succeed and leave nothing."""
    base = checkout.folder.parent
    before = take_snapshot(base)
    shown = Shown(checkout.pipeline("demo", "--example", name, *options).stdout)
    assert "Nothing is left" in shown.text
    assert take_snapshot(base).left_since(before) == {}
    assert is_clean(checkout.folder)
    return shown


def link_cache(home: Path) -> None:
    """Give a home a cache of its own for results; what is downloaded or built is this host's."""
    own, shared = home / ".cache" / "image-pipeline", cache_folder()
    own.mkdir(parents=True)
    for name in ("examples", "prepared", "trees"):
        (shared / name).mkdir(parents=True, exist_ok=True)
        (own / name).symlink_to(shared / name)


def is_clean(checkout: Path) -> bool:
    """Whether git sees nothing new in a checkout, and no stack is left."""
    command = ["git", "status", "--porcelain"]
    answer = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    return answer.stdout == "" and not (checkout / ".local").exists()
