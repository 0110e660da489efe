"""The lock is what the requirements ask for, by hash, and nothing else."""

import re

import pytest

from tests.worker.pipeline import ROOT

LOCK = (ROOT / "worker" / "requirements.txt").read_text().splitlines()
WANTED = [
    line.replace("[binary]", "").lower()
    for line in (ROOT / "worker" / "requirements.in").read_text().splitlines()
    if "==" in line
]


@pytest.mark.parametrize("pin", WANTED)
def test_each_requirement_is_locked(pin: str) -> None:
    assert any(line.startswith(f"{pin} ") for line in LOCK)


def test_every_line_has_hashes() -> None:
    for line in LOCK:
        assert line.startswith("#") or re.fullmatch(
            r"[a-z0-9-]+==[^ ]+( --hash=sha256:[0-9a-f]{64})+( ;.*)?", line
        ), line
