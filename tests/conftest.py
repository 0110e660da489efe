"""What every suite shares: skips must be known ones; how several processes share the tests."""

from pathlib import Path

import pytest

from tests import distribution
from tests.skips import SkipCheck


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--allowed-skips FILE`: every other skip fails the run. `--faults`: run the whole matrix."""
    parser.addoption("--allowed-skips", type=Path, help="fail on any skip this file does not list")
    parser.addoption("--faults", action="store_true", help="run every cell of the fault matrix")
    parser.addoption("--fault-seed", type=int, default=1, help="chooses the cells that are run")


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seed, with which the same cells are run again."""
    chosen = "all" if config.getoption("--faults") else f"--fault-seed={config.option.fault_seed}"
    return f"cells of the fault matrix: {chosen}"


def pytest_configure(config: pytest.Config) -> None:
    """Watch the skips if asked to, in the one process that sees all reports."""
    listed: Path | None = config.getoption("--allowed-skips")
    if listed is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipCheck(listed), "allowed-skips")
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(distribution, "distribution")
