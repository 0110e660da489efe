"""edge.toml: each fault is one sentence with the setting, the value and the remedy."""

from pathlib import Path

import pytest

from edge.settings import Settings, load
from worker.errors import InvalidSettings

MINIMUM = 'camera = "door"\nsource = 0\n'
FAULTS = [
    ("", "camera is missing: set it to the camera's name in the stack's settings"),
    ('camera = "door"', "source is missing: set it to a camera's index (0)"),
    ('camera = "Door 1"\nsource = 0', "camera is 'Door 1': it must begin with a-z"),
    (f'camera = "{"x" * 21}"\nsource = 0', "at most 20"),
    ('camera = "door"\nsource = ""', "source is empty"),
    ('camera = "door"\nsource = true', "source is True: set it to a text."),
    (f"{MINIMUM}qos = 2", "qos is 2: set it to one of 0, 1."),
    (f"{MINIMUM}quality = 101", "quality is 101: set it to a whole number from 1 to 100."),
    (f"{MINIMUM}detekt = 1", "detekt is not a setting: did you mean detect?"),
    (f'{MINIMUM}detect = "dogs"', "detect is 'dogs': set it to one of faces, none."),
    (f"{MINIMUM}spool = 5", "spool must be a table: write [spool] and its keys below it."),
    (f"{MINIMUM}[spool]\nmax_mb = 1", "spool.max_mb is 1: set it to a whole number from 20"),
    (f"{MINIMUM}[motion]\nchange = 1", "motion.change is not a setting: did you mean motion.chan"),
    (f"{MINIMUM}[motion]\nchanged = nan", "motion.changed is nan: set it to a number from 0 to 1"),
    (f'{MINIMUM}[cloud]\naddress = "host"', "cloud.address is 'host': set it to HOST:PORT"),
    (f'{MINIMUM}[cloud]\naddress = "h:70000"', "cloud.address is 'h:70000'"),
    (f"{MINIMUM}[broker]\nport = 0", "broker.port is 0: set it to a whole number from 1 to 65535"),
    ("camera = door", "edge.toml is not TOML: "),
]


def loaded(folder: Path, text: str | bytes, mode: int = 0o600) -> Settings:
    path = folder / "edge.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return load(path)


@pytest.mark.parametrize(("text", "sentence"), FAULTS)
def test_a_fault_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        loaded(tmp_path, text)
    assert any(sentence in line for line in str(refused.value).splitlines()), refused.value


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings) as refused:
        loaded(tmp_path, "qos = 3\n[faces]\nmargin = 9")
    assert len(str(refused.value).splitlines()) == 4


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="No such file"):
        load(tmp_path / "edge.toml")
    with pytest.raises(InvalidSettings, match="is not UTF-8"):
        loaded(tmp_path, b"\xff\xfe")


def test_a_password_of_a_camera_must_not_be_readable_by_all(tmp_path: Path) -> None:
    text = 'camera = "door"\nsource = "rtsp://me:hunter2@192.0.2.9/stream"'
    with pytest.raises(InvalidSettings, match="chmod 640") as refused:
        loaded(tmp_path, text, 0o644)
    assert "hunter2" not in str(refused.value)
    assert loaded(tmp_path, text, 0o640).camera == "door"


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    settings = loaded(tmp_path, MINIMUM, 0o644)
    assert (settings.source, settings.qos, settings.detect) == ("0", 1, "faces")
    assert settings.broker.host == "127.0.0.1"
    assert settings.spool_folder == tmp_path / "spool"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/door")
    assert settings.spool_folder == Path("/var/lib/door/spool")
