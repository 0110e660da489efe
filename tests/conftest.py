"""What every suite shares: skips must be known ones; how several processes share the tests."""

from pathlib import Path

import pytest

from tests import distribution
from tests.skips import SkipCheck


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--allowed-skips FILE`: other skips fail the run. `--faults`, `--pictures`: all cells."""
    parser.addoption("--allowed-skips", type=Path, help="fail on any skip this file does not list")
    parser.addoption("--faults", action="store_true", help="run every cell of the fault matrix")
    parser.addoption("--fault-seed", type=int, default=1, help="chooses the cells that are run")
    parser.addoption("--pictures", action="store_true", help="run every picture of the matrices")
    parser.addoption(
        "--picture-seed", type=int, default=1, help="chooses the pictures that are run"
    )


def pytest_report_header(config: pytest.Config) -> str:
    """Print the seeds, with which the same cells and pictures are run again."""
    cells = "all" if config.getoption("--faults") else f"--fault-seed={config.option.fault_seed}"
    pictures = f"--picture-seed={config.option.picture_seed}"
    if config.getoption("--pictures"):
        pictures = "all"
    return f"cells of the fault matrix: {cells}; pictures: {pictures}"


def pytest_configure(config: pytest.Config) -> None:
    """Watch the skips if asked to, in the one process that sees all reports."""
    listed: Path | None = config.getoption("--allowed-skips")
    if listed is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipCheck(listed), "allowed-skips")
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(distribution, "distribution")
