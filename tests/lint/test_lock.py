"""The lock files pin, by hash, what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest

from tools.lock import TRANSFORMS

CHECKOUT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
LOCKED = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    "cli/requirements.txt": [
        *PROJECT["project"]["dependencies"],
        *(each for each in PROJECT["dependency-groups"]["cli"] if isinstance(each, str)),
        *(each for each in PROJECT["dependency-groups"]["local"] if isinstance(each, str)),
    ],
    "worker/requirements.txt": PROJECT["dependency-groups"]["worker"],
    "edge/requirements.txt": [
        *PROJECT["dependency-groups"]["faces"],
        *(each for each in PROJECT["dependency-groups"]["edge"] if isinstance(each, str)),
    ],
    **{
        f"worker/transforms/{folder}/requirements.txt": [
            each for each in PROJECT["dependency-groups"][name] if isinstance(each, str)
        ]
        for name, folder in TRANSFORMS.items()
    },
}


def requirements(lock: str) -> list[str]:
    """The lock's requirements, one a line, without comments."""
    text = (CHECKOUT / lock).read_text().replace("\\\n", "")
    return [line for line in text.splitlines() if not line.strip().startswith("#")]


@pytest.mark.parametrize(
    ("lock", "pin"), [(lock, pin) for lock, pins in LOCKED.items() for pin in pins]
)
def test_each_dependency_is_locked_at_its_version(lock: str, pin: str) -> None:
    name, version = re.sub(r"\[.*\]| *;.*", "", pin).split("==")
    wanted = f"{re.sub('[._]', '-', name.lower())}=={version}"
    assert any(re.split(r"[ ;]", line)[0] == wanted for line in requirements(lock))


@pytest.mark.parametrize("lock", LOCKED)
def test_every_requirement_has_hashes(lock: str) -> None:
    for line in requirements(lock):
        assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; [^-]+)?(\s+--hash=sha256:[0-9a-f]{64})+", line)


def test_the_script_installs_the_same_uv() -> None:
    [pin] = [each for each in PROJECT["dependency-groups"]["dev"] if str(each).startswith("uv==")]
    assert f" install {pin} " in (CHECKOUT / "pipeline").read_text()


def test_the_locks_agree() -> None:
    """What `pulumi up` needs has the same version where the command line runs it."""
    assert {line.split(" ")[0] for line in requirements("requirements.txt")} <= {
        line.split(" ")[0] for line in requirements("cli/requirements.txt")
    }
