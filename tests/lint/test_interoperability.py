"""docs/interoperability.md names tests that exist."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def test_tests_exist() -> None:
    text = (CHECKOUT / "docs" / "interoperability.md").read_text()
    named = re.findall(r"`([\w/]+\.py)(?:::(test_\w+))?`", text)
    assert len(named) > 50
    missing = [f"{file}::{test}" for file, test in named if not _exists(file, test)]
    assert missing == []


def _exists(file: str, test: str) -> bool:
    path = CHECKOUT / "tests" / file
    if not path.exists():
        return (CHECKOUT / file).exists() and not test
    return not test or f"def {test}(" in path.read_text()
