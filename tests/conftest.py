"""What every suite shares: the rule that a skip must be one we know of."""

from pathlib import Path

import pytest

from tests.skips import Ledger


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--allowed-skips FILE`: every other skip fails the run."""
    parser.addoption("--allowed-skips", type=Path, help="fail on any skip this file does not list")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the skips where asked to."""
    listed: Path | None = config.getoption("--allowed-skips")
    if listed is not None:
        config.pluginmanager.register(Ledger(listed), "allowed-skips")
