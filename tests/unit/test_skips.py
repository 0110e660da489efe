"""`--allowed-skips`: a skip that is not listed fails the run, in one process or several."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checkout import PROJECT
from tests.skips import parse

MODULE = "import pytest\n\n\ndef test_it():\n    pytest.skip('no reason')\n"


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("tests/suite/test_a.py::test_it | echo yes | yes", 0),
        ("tests/suite/test_a.py::test_it | echo no | yes", 1),
        ("", 1),
    ],
)
def test_skips_are_checked(tmp_path: Path, processes: str, line: str, code: int) -> None:
    suite = tmp_path / "tests" / "suite"
    suite.mkdir(parents=True)
    for name in ("__init__.py", "conftest.py", "distribution.py", "skips.py"):
        (tmp_path / "tests" / name).write_text((PROJECT / "tests" / name).read_text())
    (suite / "test_a.py").write_text(MODULE)
    (suite / "test_b.py").write_text("def test_passes():\n    pass\n")
    (tmp_path / "allowed").write_text(line)
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "xdist", processes),
            *("--allowed-skips", "allowed", "tests"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # those that it does not use
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == code, answer.stdout + answer.stderr
    assert ("Skip not listed" in answer.stdout) == (code == 1)
    assert "1 passed, 1 skipped" in answer.stdout
    assert answer.stdout.splitlines()[-1].startswith("=")


def test_every_listed_test_exists() -> None:
    for allowed in parse((PROJECT / "tests" / "allowed_skips.txt").read_text()):
        module, name = allowed.test.split("[")[0].split("::")
        assert f"def {name}(" in (PROJECT / module).read_text(), allowed.test
