"""What the very user-data makes of a bare image."""

import base64
import json

import pytest

from tests.machine.guest import Guest


def test_cloud_init_accepts_it_byte_for_byte(guest: Guest) -> None:
    (record,) = (guest.cloud.folder / "records/servers").glob("*.json")
    sent = base64.b64decode(json.loads(record.read_text())["inputs"]["userData"])
    assert sent[:2] == b"\x1f\x8b"
    seen = guest.root("base64 -w 0 /var/lib/cloud/instance/user-data.txt")
    assert base64.b64decode(seen) == sent
    result = json.loads(guest.root("cat /run/cloud-init/result.json"))["v1"]
    assert result["errors"] == []
    assert guest.machine.datasource in result["datasource"]
    assert guest.root("systemctl --failed --no-legend --plain") == ""


def test_photos_come_back_through_ssh_put_and_log(guest: Guest) -> None:
    names = ["cat.jpg", "coffee.png"]
    rows = guest.negate(*names)
    assert sorted(row["input_key"] for row in rows) == names
    assert {row["outcome"] for row in rows} == {"done"}
    assert guest.status()["backlog"]["count"] == 0
    logs = guest.checkout.pipeline("logs", "--lines", "200").stdout
    assert '"event": "done"' in logs


@pytest.mark.parametrize("guest", ["trixie"], indirect=True)
def test_a_registry_that_comes_late(guest: Guest) -> None:
    """Nobody helped: the install service got there by itself, and `status` told why not before."""
    assert "pipeline-install" in guest.told_without_registry
    assert "No matching distribution found for" in guest.told_without_registry
    assert int(guest.root("systemctl show -P NRestarts pipeline-install")) >= 1
