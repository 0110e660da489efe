"""CONTRIBUTING.md names files that exist."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent


def test_paths_exist() -> None:
    text = (CHECKOUT / "CONTRIBUTING.md").read_text()
    paths = set(re.findall(r"`([\w*./-]+/[\w*./-]*)`", text)) - {"worker/transforms/NAME/"}
    assert len(paths) > 20
    assert {path for path in paths if not list(CHECKOUT.glob(path.rstrip("/")))} == set()
