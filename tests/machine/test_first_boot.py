"""The first boot: what the user-data makes of a bare image."""

import base64
import json

import pytest

from tests.machine.guest import Guest, eventually


def test_cloud_init_gets_the_user_data_byte_for_byte(guest: Guest) -> None:
    (record,) = (guest.cloud.folder / "records/servers").glob("*.json")
    sent = base64.b64decode(json.loads(record.read_text())["inputs"]["userData"])
    assert sent[:2] == b"\x1f\x8b"
    seen = guest.shell("base64 -w 0 /var/lib/cloud/instance/user-data.txt")
    assert base64.b64decode(seen) == sent
    result = json.loads(guest.shell("cat /run/cloud-init/result.json"))["v1"]
    assert result["errors"] == []
    assert guest.machine.datasource in result["datasource"]
    # A pass fails while a service is slow to respond; the fixture has seen passes succeed.
    failed = "systemctl --failed --no-legend --plain | grep -v '^pipeline-worker@'; true"
    assert guest.shell(failed) == ""


def test_photos_are_negated_and_logged(guest: Guest) -> None:
    names = ["cat.jpg", "coffee.png"]
    rows = guest.negate(*names)
    assert sorted(row["input_key"] for row in rows) == names
    assert {row["outcome"] for row in rows} == {"done"}
    eventually(guest.is_idle, what="all is done")
    logs = ("logs", "--lines", "200")
    eventually(lambda: '"event": "done"' in guest.checkout.pipeline(*logs).stdout)


@pytest.mark.parametrize("guest", ["trixie"], indirect=True)
def test_installation_recovers_from_a_missing_registry(guest: Guest) -> None:
    """The service retried by itself, and `status` showed the reason meanwhile."""
    assert "pipeline-install" in guest.status_without_registry
    assert "No matching distribution found for" in guest.status_without_registry
    assert int(guest.shell("systemctl show -P NRestarts pipeline-install")) >= 1
