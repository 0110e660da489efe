"""clouds.yaml: found as the SDK finds it, and refused where Pulumi's provider would not find it."""

from pathlib import Path

import pytest

from clients import clouds_yaml
from clients.errors import CloudError


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the variable names."""
    path = tmp_path / "clouds.yaml"
    path.write_text("clouds: {a: {}}\n")
    monkeypatch.setenv(clouds_yaml.VARIABLE, str(path))
    return path


def test_named_file_is_found(named: Path) -> None:
    assert clouds_yaml.find() == named
    clouds_yaml.check_provider_finds(named)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clouds:\n  a: [1\n", r"clouds\.yaml, line 3, column 1: not valid YAML"),
        ("a: \x01\n", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
    ],
)
def test_fault_is_named_by_its_place(named: Path, text: str, message: str) -> None:
    named.write_text(text)
    with pytest.raises(CloudError, match=message):
        clouds_yaml.find()


def test_missing_file_is_named(named: Path) -> None:
    named.unlink()
    with pytest.raises(CloudError, match=r"names .*, which is not a file"):
        clouds_yaml.find()


def test_file_that_the_provider_does_not_find_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(clouds_yaml.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clouds.yaml").write_text("clouds: {}\n")
    clouds_yaml.check_provider_finds(tmp_path / "clouds.yaml")
    with pytest.raises(CloudError, match=r"export OS_CLIENT_CONFIG_FILE=/elsewhere/"):
        clouds_yaml.check_provider_finds(Path("/elsewhere/clouds.yaml"))
