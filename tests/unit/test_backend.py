"""The folder of a Pulumi backend, as the engine finds it."""

from pathlib import Path

import pytest

from cli.stacks import backend


@pytest.mark.parametrize("name", ["state", "my state", "José", "100%"])
@pytest.mark.parametrize("options", ["", "?no_tmp_dir=true"])
def test_state_is_found_in_a_folder_of_any_name(tmp_path: Path, name: str, options: str) -> None:
    """URLs encode such names; a state that was not found would count as lost."""
    url = (tmp_path / name).as_uri() + options
    assert backend.is_empty(url, "lab")
    file = backend.state_file(url, "lab")
    assert file
    assert file.is_relative_to(tmp_path / name)
    file.parent.mkdir(parents=True)
    file.write_text('{"checkpoint": {"latest": {"resources": [{"urn": "x"}]}}}')
    assert not backend.is_empty(url, "lab")
    assert backend.resources(url, "lab") == [{"urn": "x"}]


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert backend.folder_of("file://~/state") == tmp_path / "state"
    assert backend.folder_of("s3://bucket") is None
