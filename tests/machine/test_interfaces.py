"""The page, the upload API behind Caddy, and the broker, on machines that were booted."""

import ipaddress
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.machine.guest import Guest, eventually
from tests.machine.test_hardening import exposure

SERVICES = ("web", "proxy", "broker", "ingest")
PORTS = {"web": 8700, "proxy": 443, "broker": 8883}
# Asks on the machine itself, as a client that has the authority's certificate.
ASK = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile="/etc/pipeline/credentials/interface-authority")
def ask(method, path, token="", body=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://127.0.0.1{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, context=context, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
"""
# A camera: connects with a password, sends one picture, prints what it is told.
CAMERA = """
import queue, sys, time
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
user, password, owner, boot = @ARGUMENTS@
client = Client(CallbackAPIVersion.VERSION2)
if user:
    client.username_pw_set(user, password)
client.tls_set("/etc/pipeline/credentials/interface-authority")
told = queue.Queue()
def connected(client, data, flags, reason, properties):
    if reason.is_failure:
        told.put("refused")
    client.subscribe("image-pipeline/#", qos=1)
client.on_connect = connected
client.on_message = lambda client, data, message: told.put(f"{message.topic} {message.payload}")
client.on_subscribe = lambda *_: client.publish(
    f"image-pipeline/{owner}/{boot}/1", open("/tmp/cat.jpg", "rb").read(), qos=1)
client.connect("127.0.0.1", 8883)
client.loop_start()
try:
    print(told.get(timeout=@SECONDS@))
except queue.Empty:
    print("nothing")
"""


def listeners(guest: Guest) -> set[int]:
    """Return the TCP ports on which something listens to other machines."""
    found = set()
    for line in guest.shell("ss -H -tln").splitlines():
        address, _, port = line.split()[3].rpartition(":")
        host = address.strip("[]").partition("%")[0]
        if host == "*" or not ipaddress.ip_address(host).is_loopback:
            found.add(int(port))
    return found


@pytest.mark.parametrize("guest", ["bookworm"], indirect=True)
def test_default_machine_listens_on_its_loopback_alone(guest: Guest) -> None:
    eventually(lambda: "127.0.0.1:8700" in guest.shell("ss -H -tln"), what="the page is served")
    assert listeners(guest) == {22}
    assert exposure(guest, "pipeline-web.service") <= 2.5
    for name in ("proxy", "broker", "ingest"):
        assert guest.shell(f"systemctl is-active pipeline-{name}", code=None) == "inactive"
    assert guest.shell("command -v mosquitto caddy", code=None) == ""


def is_active(guest: Guest, name: str) -> bool:
    return guest.shell(f"systemctl is-active pipeline-{name}", code=None) == "active"


def serves(guest: Guest, name: str) -> bool:
    """Return whether a service is active and, if it has a port, listens."""
    listening = name not in PORTS or guest.shell(f"ss -H -tln sport = :{PORTS[name]}") != ""
    return is_active(guest, name) and listening


@pytest.fixture(scope="package")
def outputs(guest: Guest) -> Mapping[str, Any]:
    """The stack's outputs, secrets shown."""
    answer = guest.checkout.pipeline("outputs", "--json", "--show-secrets")
    found: Mapping[str, Any] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize("guest", ["trixie"], indirect=True)
class TestWaysIn:
    """A machine with `upload` and `mqtt`."""

    def test_it_listens_where_the_settings_say(self, guest: Guest) -> None:
        eventually(lambda: all(is_active(guest, name) for name in SERVICES), what="all run")
        eventually(lambda: listeners(guest) == {22, 443, 8883}, what="they listen")
        for name in ("mosquitto", "caddy"):
            assert guest.shell(f"systemctl is-enabled {name}", code=None) == "masked"
            assert guest.shell(f"systemctl is-active {name}", code=None) == "inactive"

    @pytest.mark.parametrize("name", SERVICES)
    def test_service_is_confined(self, guest: Guest, name: str) -> None:
        unit = f"pipeline-{name}.service"
        assert exposure(guest, unit) <= 2.5
        assert int(guest.shell(f"systemctl show -P MemoryMax {unit}")) <= 1536 << 20
        user = guest.shell(f"ps -o user= -p $(systemctl show -P MainPID {unit})")
        assert user not in ("", "root", "nobody")

    def test_services_get_the_credentials_that_they_need(self, guest: Guest) -> None:
        store = "database-certificate database-password s3-access-key s3-secret-key"
        for name, expected in {
            "web": store,
            "ingest": f"broker-password {store}",
            "broker": "broker-password camera-door camera-gate interface-certificate",
            "proxy": "interface-certificate",
        }.items():
            shown = guest.shell(f"ls /run/credentials/pipeline-{name}.service")
            assert shown.split() == expected.split()

    def test_secrets_are_on_no_command_line_and_in_no_log(
        self, guest: Guest, outputs: Mapping[str, Any]
    ) -> None:
        values = [outputs["pageKey"], outputs["uploadToken"]]
        values += [each["password"] for each in outputs["cameras"].values()]
        values.append(guest.shell("cat /run/pipeline/broker-password"))
        shown = guest.shell("ps axww; journalctl --no-pager --unit 'pipeline-*'", code=None)
        assert [value for value in values if value in shown] == []
        assert guest.shell("stat -c '%U %a' /run/pipeline/broker-password") == "root 600"

    @pytest.mark.parametrize("name", SERVICES)
    def test_killed_service_comes_back(self, guest: Guest, name: str) -> None:
        unit = f"pipeline-{name}.service"
        shown = f"systemctl show -P MainPID {unit}"
        before = guest.shell(shown)
        guest.shell(f"systemctl kill --signal=KILL {unit}")
        eventually(
            lambda: guest.shell(shown) not in ("0", before) and serves(guest, name),
            what=f"{name} runs again",
        )

    def test_upload_reaches_a_result_and_nothing_else_is_reached(
        self, guest: Guest, outputs: Mapping[str, Any]
    ) -> None:
        guest.put_file("/tmp/cat.jpg", "samples/cat.jpg")  # noqa: S108
        guest.write("/root/token", outputs["uploadToken"])
        made = guest.probe_as_root(
            f"{ASK}token = open('/root/token').read().strip()\n"
            "for path in ('/', '/results', '/files/../upload', '/openapi.json'):\n"
            "    print(ask('GET', path)[0])\n"
            "picture = open('/tmp/cat.jpg', 'rb').read()\n"
            "print(ask('PUT', '/upload/negatives/stranger.jpg', 'wrong', picture)[0])\n"
            "print(*ask('PUT', '/upload/negatives/web/cat.jpg', token, picture), sep='\\n')\n"
        ).splitlines()
        assert made[:-1] == ["404", "404", "404", "404", "401", "200"], made
        eventually(lambda: "web/cat.jpg" in guest.done_keys(), what="the upload is processed")
        job = json.loads(made[-1])["files"][0]["token"]
        path = f"/jobs/{job}"
        state = guest.probe_as_root(
            f"{ASK}print(ask('GET', {path!r}, open('/root/token').read().strip())[1])"
        )
        assert json.loads(state)["state"] == "done"
        guest.shell("rm /root/token")

    def camera(
        self, guest: Guest, user: str, password: str, *, owner: str, boot: str, seconds: int = 60
    ) -> str:
        arguments = repr((user, password, owner, boot))
        script = CAMERA.replace("@ARGUMENTS@", arguments).replace("@SECONDS@", str(seconds))
        return guest.probe_as_root(script).splitlines()[-1]

    def test_picture_of_a_camera_reaches_a_result(self, guest: Guest) -> None:
        guest.put_file("/tmp/cat.jpg", "samples/cat.jpg")  # noqa: S108
        door, gate = (
            guest.shell(f"cat /etc/pipeline/credentials/camera-{name}") for name in ("door", "gate")
        )
        told = self.camera(guest, "door", door, owner="door", boot="boot1")
        assert re.fullmatch(r"image-pipeline/door/boot1/confirmed b'.*\b1\b.*'", told), told
        eventually(lambda: "door/boot1/1.jpg" in guest.done_keys(), what="it is processed")
        # Another camera's pictures are neither written nor seen, and strangers are not let in.
        assert self.camera(guest, "gate", gate, owner="door", boot="forged", seconds=5) == "nothing"
        for user, password in (("door", gate), ("", "")):
            assert self.camera(guest, user, password, owner="door", boot="forged") == "refused"
        assert not [key for key in guest.done_keys() if "forged" in key]
