"""Which skips a run may have.

Each line of the list has a test (its node id), a probe (a shell command) and the output of the
probe, separated by ` | `. The skip is allowed only where the probe prints exactly that, so a test
cannot silently stop running on a machine that could run it.
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
        """Return whether the probe says that this machine cannot run the test."""
        answer = subprocess.run(
            ["/bin/sh", "-c", self.probe], capture_output=True, text=True, check=False
        )
        return answer.stdout.strip() == self.output


def parse(text: str) -> list[Allowed]:
    """Parse the list; `#` begins a comment."""
    lines = [line.strip() for line in text.splitlines()]
    fields = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [Allowed(*(field.strip() for field in row)) for row in fields]


class SkipCheck:
    """A pytest plugin that collects skips and checks them at the end."""

    def __init__(self, listed: Path) -> None:
        self._allowed = {allowed.test: allowed for allowed in parse(listed.read_text())}
        self._skipped: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a skipped test and its reason."""
        if report.skipped:
            why = report.longrepr
            self._skipped[report.nodeid] = why[2] if isinstance(why, tuple) else str(why)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that is skipped as a whole."""
        if report.skipped:
            self._skipped[report.nodeid] = str(report.longrepr)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run if a skip is not allowed on this machine."""
        unknown = {test: why for test, why in self._skipped.items() if not self._may_skip(test)}
        for test, why in unknown.items():
            print(f"\nSkip not listed in allowed_skips.txt, or its probe differs: {test} ({why})")
        if unknown:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _may_skip(self, test: str) -> bool:
        allowed = self._allowed.get(test)
        return allowed is not None and allowed.holds()
