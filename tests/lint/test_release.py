"""What a release is made from: fixed versions, no secrets, no root."""

import re
from typing import Any

import pytest
import yaml

from tests.checkout import PROJECT
from tests.containers.images import BASE

CONTAINERFILES = sorted(path.relative_to(PROJECT) for path in PROJECT.glob("*/Containerfile"))
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").iterdir())


def instructions(name: str) -> list[tuple[str, str]]:
    """Return the instructions of an image's Containerfile, without comments."""
    text = re.sub("^#.*\n", "", (PROJECT / name / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(words[0], words[1]) for line in lines if len(words := line.split(maxsplit=1)) > 1]


def release() -> dict[str, Any]:
    """Return the job that releases an image."""
    workflow = yaml.safe_load((PROJECT / ".github/workflows/release.yaml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    return dict(workflow["jobs"]["image"])


def test_every_image_is_released() -> None:
    images = release()["strategy"]["matrix"]["image"]
    assert images == [path.parts[0] for path in CONTAINERFILES]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned(path: Any) -> None:
    """A tag can be moved to another commit."""
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)
        assert re.fullmatch(r"  # v[\d.]+", comment)


def test_secrets_are_in_the_environment_of_one_step() -> None:
    """Neither in commands, which logs show, nor where the installation of packages sees them."""
    with_secrets = [step for step in release()["steps"] if "secrets." in str(step)]
    assert [step["run"] for step in with_secrets] == ['.ci/release "$IMAGE" "$GITHUB_REF_NAME"']
    assert "secrets." not in with_secrets[0]["run"]


@pytest.mark.parametrize("image", [path.parts[0] for path in CONTAINERFILES])
def test_an_image_is_small_and_runs_without_root(image: str) -> None:
    found = instructions(image)
    stages = [what.split()[0] for word, what in found if word == "FROM"]
    assert stages == [BASE] * 2
    last = found[max(index for index, (word, _) in enumerate(found) if word == "FROM") :]
    assert [what for word, what in last if word == "USER"] == ["10001:10001"]
    assert {word for word, _ in last} >= {"ENTRYPOINT", "LABEL"}
    assert "gcc" not in str(last)
    assert "ADD" not in {word for word, _ in found}, "COPY takes nothing from the network"
    installed = [what for _, what in found if "pip install" in what]
    assert installed
    for what in installed:
        assert {"--require-hashes", "--only-binary"} <= set(what.split())
    assert not re.search("(?i)password|secret|token", str(found))
