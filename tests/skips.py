"""Skips that a run may have.

Each line of the list names a test (its node id), a probe (a shell command) and the probe's output,
parted by ` | `: the skip is allowed only where the probe prints just that, so that a test cannot
quietly stop running on a machine that could run it.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Allowed:
    """One line of the list."""

    test: str
    probe: str
    output: str

    def holds(self) -> bool:
        """Whether this machine is one where the test cannot run."""
        answer = subprocess.run(
            ["/bin/sh", "-c", self.probe], capture_output=True, text=True, check=False
        )
        return answer.stdout.strip() == self.output


def parse(text: str) -> list[Allowed]:
    """The list's lines; `#` begins a comment."""
    lines = [line.strip() for line in text.splitlines()]
    fields = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [Allowed(*(field.strip() for field in row)) for row in fields]


class SkipCheck:
    """A pytest plugin that remembers what was skipped and judges it at the end."""

    def __init__(self, listed: Path) -> None:
        self._allowed = {allowed.test: allowed for allowed in parse(listed.read_text())}
        self._skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember a skipped test and why."""
        if report.skipped:
            why = report.longrepr
            self._skipped[report.nodeid] = why[2] if isinstance(why, tuple) else str(why)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module that is skipped whole counts too."""
        if report.skipped:
            self._skipped[report.nodeid] = str(report.longrepr)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run for every skip that is not allowed here."""
        unknown = {test: why for test, why in self._skipped.items() if not self._may_skip(test)}
        for test, why in unknown.items():
            print(f"\nSkip not listed in allowed_skips.txt, or its probe differs: {test} ({why})")
        if unknown:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _may_skip(self, test: str) -> bool:
        allowed = self._allowed.get(test)
        return allowed is not None and allowed.holds()
