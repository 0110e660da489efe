"""What `./pipeline rotate` changes in a stack's settings, and what it refuses."""

from pathlib import Path

import pytest
import yaml

from cli.errors import CommandError
from cli.pipelines.rotation import raise_round
from cli.stacks import registry
from infra.errors import InvalidSettings

HEAD = """\
# The lab's stack.
config:
  image-pipeline:computeCloud: "lab"   # the entry
  pulumi:tags: {owner: me}
  image-pipeline:mqtt:
    cidrs: [192.0.2.0/24]
    cameras:
      door: {pipeline: negatives}   # the front one
      gate: {pipeline: negatives}
"""
TAIL = """\
  # Secrets.
  image-pipeline:s3SecretKey:
    secure: v1:abc==
encryptionsalt: v1:salt
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the stack `lab`."""
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path)
    return tmp_path / "Pulumi.lab.yaml"


def rotation(path: Path) -> object:
    return yaml.safe_load(path.read_text())["config"]["image-pipeline:rotation"]


#: The setting before, its key with a camera, and the setting after.
RAISED = [
    ("", "keys", "", {"keys": 2}),
    ("", "uploadToken", "", {"uploadToken": 2}),
    ("", "cameras", "door", {"cameras": {"door": 2}}),
    ("3", "keys", "", {"keys": 4, "passwords": 3}),
    ("'3'", "passwords", "", {"keys": 3, "passwords": 4}),
    ("3", "uploadToken", "", {"keys": 3, "passwords": 3, "uploadToken": 2}),
    ("{}", "passwords", "", {"passwords": 2}),
    ("{keys: 5}", "passwords", "", {"keys": 5, "passwords": 2}),
    ("{keys: 5}", "keys", "", {"keys": 6}),
    (
        "{cameras: {gate: '7'}}",
        "cameras",
        "door",
        {"cameras": {"gate": 7, "door": 2}},
    ),
    ("{cameras: {door: 7}}", "cameras", "door", {"cameras": {"door": 8}}),
]


@pytest.mark.parametrize(("before", "key", "camera", "after"), RAISED)
def test_one_number_is_raised(
    settings: Path, before: str, key: str, camera: str, after: object
) -> None:
    line = f"  image-pipeline:rotation: {before}   # spring\n" if before else ""
    settings.write_text(HEAD + line + TAIL)
    assert raise_round("lab", key, camera) == settings
    assert rotation(settings) == after
    text = settings.read_text()
    assert text.startswith(HEAD)
    assert TAIL.splitlines() == [each for each in text.splitlines() if each in TAIL.splitlines()]
    again = {**yaml.safe_load(text)["config"]}
    del again["image-pipeline:rotation"]
    assert again == yaml.safe_load(HEAD + TAIL)["config"]


def test_comments_of_the_map_stay(settings: Path) -> None:
    block = """\
  # Raised each spring.
  image-pipeline:rotation:
    keys: 2   # April
    # Somebody left.
    cameras:
      door: 4   # the front one
"""
    settings.write_text(HEAD + block + TAIL)
    raise_round("lab", "cameras", "door")
    raise_round("lab", "keys")
    expected = block.replace("door: 4", "door: 5").replace("keys: 2", "keys: 3")
    assert settings.read_text() == HEAD + expected + TAIL


REFUSED = [
    ("s3AccessKey: x", "keys", "", "s3AccessKey is set, so the keys are yours"),
    ("database: existing", "passwords", "", "database is existing, so its passwords are yours"),
    ("web: false", "uploadToken", "", "web is false, so there is no upload token"),
    ("web: 'false'", "uploadToken", "", "web is false, so there is no upload token"),
    ("flavor: x", "cameras", "dor", "no camera 'dor' (it has door, gate)"),
]


@pytest.mark.parametrize(("line", "key", "camera", "sentence"), REFUSED)
def test_what_the_program_does_not_make_is_refused(
    settings: Path, line: str, key: str, camera: str, sentence: str
) -> None:
    before = f"{HEAD}  image-pipeline:{line}\n{TAIL}"
    settings.write_text(before)
    with pytest.raises(CommandError) as refusal:
        raise_round("lab", key, camera)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert settings.read_text() == before


def test_client_certificates_of_an_existing_database_rotate(settings: Path) -> None:
    lines = (
        "  image-pipeline:database: existing\n  image-pipeline:databaseClientCertificates: true\n"
    )
    settings.write_text(HEAD + lines + TAIL)
    raise_round("lab", "passwords")
    assert rotation(settings) == {"passwords": 2}


def test_a_wrong_setting_is_not_changed(settings: Path) -> None:
    before = HEAD + "  image-pipeline:rotation: {keys: many}\n" + TAIL
    settings.write_text(before)
    with pytest.raises(InvalidSettings, match=r"rotation\.keys is 'many': set it to"):
        raise_round("lab", "keys")
    assert settings.read_text() == before
