"""What every suite shares: skips must be known ones; how several processes share the tests."""

from pathlib import Path

import pytest

from tests import distribution
from tests.skips import SkipCheck


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--allowed-skips FILE`: every other skip fails the run."""
    parser.addoption("--allowed-skips", type=Path, help="fail on any skip this file does not list")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the skips if asked to, in the one process that sees all reports."""
    listed: Path | None = config.getoption("--allowed-skips")
    if listed is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkipCheck(listed), "allowed-skips")
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(distribution, "distribution")
