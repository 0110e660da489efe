"""Run both fuzzers for a short time; `python -m tests.fuzz 3600` runs them longer."""

import re
from pathlib import Path

import pytest

from tests.fuzz import mutation, sanitized
from worker.transforms.negate import build, kernels

SECONDS = 25


@pytest.mark.skipif(sanitized.COMPILER is None, reason="no C compiler")
@pytest.mark.timeout(900)
def test_kernels_under_sanitizers(tmp_path: Path) -> None:
    """No sanitizer reports an error, and the kernel negates its own results."""
    counted = sanitized.run(tmp_path, SECONDS, 1)
    tried, taken = map(int, re.findall(r"\d+", counted))
    assert tried >= 2_000
    assert 0 < taken < tried


@pytest.mark.skipif(sanitized.COMPILER is None, reason="no C compiler")
@pytest.mark.timeout(900)
def test_mutated_files_are_taken_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "library", kernels.load(build.compile_library(tmp_path).parent))
    counts = mutation.run(SECONDS, 1)
    assert min(counts.values()) >= mutation.LEAST
