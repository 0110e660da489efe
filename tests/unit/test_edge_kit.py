"""The folder that `edge-kit` writes."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from cli import edge_kit
from cli.edge_kit import Kit
from cli.errors import CommandError
from cli.stacks import registry
from cli.stacks.target import Target
from clients import certificates
from edge.settings import load

KIT = Kit(
    "dev", "door", "camera-secret", "192.0.2.7:8883", "-----BEGIN CERTIFICATE-----\n",
    source="rtsp://me@192.0.2.9/s", port=1885, local_password="local-secret",
)  # fmt: skip
SECRET = {"edge.toml", "local-password", "mosquitto-passwords", "mosquitto.conf", "password"}


class Deployed:
    """A stack with these outputs."""

    name = "dev"

    def __init__(self, outputs: dict[str, Any]) -> None:
        self._outputs = outputs

    def outputs(self) -> dict[str, Any]:
        return self._outputs

    def hosts(self) -> list[object]:
        return [object()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "kits/door"
    edge_kit.write(KIT, made)
    return made


def test_passwords_are_private_and_in_few_files(folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    files = [path for path in folder.rglob("*") if path.is_file()]
    private = {path.name for path in files if path.stat().st_mode & 0o077 == 0}
    assert private == {*SECRET, "authority.pem"}
    for secret in ("camera-secret", "local-secret"):
        having = {path.name for path in files if secret in path.read_text(errors="replace")}
        assert having <= SECRET


def test_nothing_is_left_to_fill_in(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and "code" not in path.relative_to(folder).parts:
            assert not re.search(r"@[A-Z]+@", path.read_text()), path


def test_the_settings_are_valid(folder: Path) -> None:
    settings = load(folder / "edge.toml")
    assert (settings.camera, settings.source) == ("door", "rtsp://me@192.0.2.9/s")
    assert (settings.broker.port, settings.cloud.address) == (1885, "192.0.2.7:8883")
    assert settings.path(settings.broker.password_file).read_text() == "local-secret\n"
    assert settings.path(settings.cloud.password_file).read_text() == "camera-secret\n"


@pytest.mark.parametrize(
    "source", ["/srv/🎥 b.mp4", "²", "007", "0", "rtsp://me:x@PORT@192.0.2.9", 'a"\\\x7f\n']
)
def test_a_source_arrives_as_it_was_given(source: str, tmp_path: Path) -> None:
    edge_kit.write(replace(KIT, source=source), tmp_path / "kit")
    assert load(tmp_path / "kit/edge.toml").source == source


def test_a_folder_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in (tmp_path / "link", Path()):
        with pytest.raises(CommandError, match=r"cannot be written .*name another folder"):
            edge_kit.write(KIT, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "link"]


def test_the_bridge_is_what_brokers_need(folder: Path) -> None:
    lines = (folder / "mosquitto.conf").read_text().splitlines()
    for line in (
        "listener 1885 127.0.0.1",
        "allow_anonymous false",
        "address 192.0.2.7:8883",
        "remote_username door",
        "remote_password camera-secret",
        "cleansession false",
        "autosave_interval 1",
        "max_queued_messages 0",
        "topic image-pipeline/door/+/confirmed in 1",
    ):
        assert line in lines
    settings = {line.split(" ")[0] for line in lines}
    assert settings.isdisjoint({"max_packet_size", "message_size_limit", "bridge_insecure"})
    assert "max_queued_bytes" in settings


def test_the_code_runs_alone(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "run", "--settings", str(tmp_path / "none.toml")]
    done = subprocess.run(
        command, cwd=folder / "code", env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No such file" in done.stderr
    subprocess.run(
        [sys.executable, "-c", "import edge.service"], cwd=folder / "code", env={}, check=True
    )


def test_only_who_has_its_password_knows_the_bridges_session() -> None:
    sessions = [replace(KIT, password=one).session for one in ("a", "b", "a")]
    assert sessions[0] == sessions[2] != sessions[1]
    text = KIT.filled("mosquitto.conf", credentials="", state="").splitlines()
    assert f"remote_clientid {KIT.session}" in text
    assert re.fullmatch("edge-door-[0-9a-f]{16}", KIT.session)


def test_two_kits_have_the_same_code(folder: Path, tmp_path: Path) -> None:
    edge_kit.write(replace(KIT, local_password="another"), tmp_path / "second")
    for path in (folder / "code").rglob("*.py"):
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(folder)).read_bytes()


def test_the_units_expose_little(folder: Path) -> None:
    if (program := shutil.which("systemd-analyze")) is None:
        pytest.skip("systemd-analyze is not installed (Debian package 'systemd')")
    for unit in folder.glob("*.service"):
        command = [program, "security", "--offline=true", "--no-pager", str(unit)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
        assert found, said
        assert float(found[1]) <= 2.5


def test_a_folder_with_files_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    before = (folder / "local-password").read_text()
    with pytest.raises(CommandError, match="exists already: remove it or name another folder"):
        edge_kit.write(replace(KIT, local_password="new"), folder)
    assert (folder / "local-password").read_text() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="exists already"):
        edge_kit.write(KIT, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    edge_kit.write(KIT, tmp_path / "empty")
    assert (tmp_path / "empty/install").is_file()


@pytest.mark.parametrize(
    ("cameras", "sentence"),
    [
        (None, "has no camera 'gate', it has none: add it to `mqtt.cameras`"),
        ({"yard": {}, "door": {}}, "has no camera 'gate', it has door, yard: add it"),
    ],
)
def test_an_unknown_camera_is_one_sentence(cameras: object, sentence: str) -> None:
    with pytest.raises(CommandError) as refused:
        outputs = {"cameras": cameras, "machineNames": []}
        edge_kit.read(cast("Target", Deployed(outputs)), "gate")
    assert sentence in refused.value.message
    assert "\n" not in refused.value.message


def test_a_camera_that_is_not_deployed_needs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "CHECKOUT", tmp_path)
    (tmp_path / "Pulumi.dev.yaml").write_text(
        "config:\n  image-pipeline:mqtt:\n    cidrs: [192.0.2.0/24]\n"
        "    cameras: {gate: {pipeline: negatives}}\n"
    )
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, r"The last 'up' .* not completed: '\./pipeline up --stack dev' continues it"),
        ({"machineNames": []}, r"'gate' is not deployed yet: '\./pipeline up --stack dev' deploys"),
    )
    for outputs, sentence in cases:
        with pytest.raises(CommandError, match=sentence):
            edge_kit.read(cast("Target", Deployed(outputs)), "gate")


def test_a_kit_has_the_stacks_values() -> None:
    authority = certificates.public_part(certificates.make_authority())
    outputs = {
        "cameras": {"door": {"pipeline": "faces", "password": "p"}},
        "mqttAddress": "192.0.2.7:8883",
        "interfaceAuthority": authority,
    }
    made = edge_kit.read(cast("Target", Deployed(outputs)), "door")
    assert (made.password, made.address, made.authority) == ("p", "192.0.2.7:8883", authority)
    again = edge_kit.read(cast("Target", Deployed(outputs)), "door")
    assert len(made.local_password) >= 32
    assert made.local_password != again.local_password


def test_a_second_kit_replaces_the_first_on_the_device(folder: Path, tmp_path: Path) -> None:
    device, programs = tmp_path / "device", tmp_path / "programs"
    for made in (device, programs):
        made.mkdir()
    # Both put a folder into one that exists, as cp does.
    for name, run in {
        "ssh": f'shift; cd {device} && exec "$@"',
        "scp": f'exec cp -r "$2" {device}/"${{3#*:}}"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{run}\n")
        (programs / name).chmod(0o755)
    readme = (folder / "README.md").read_text()
    lines = re.findall(r"^(?:ssh USER@DEVICE rm|scp) .*$", readme, re.MULTILINE)
    for password in ("first", "second"):
        (folder / "password").write_text(password)
        for line in lines:
            subprocess.run(
                ["sh", "-c", line],
                cwd=folder,
                env={"PATH": f"{programs}:/usr/bin:/bin", "PWD": str(folder)},
                check=True,
            )
    assert (device / "image-pipeline-door/password").read_text() == "second"
    assert {path.name for path in device.iterdir()} == {"image-pipeline-door"}
