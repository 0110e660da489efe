"""What `web`, `upload`, `mqtt` and `rotation` change in what the program asks of the engine."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infra.user_data.document import NOVA_LIMIT
from tests.unit.program import ANSWERS, FLOATING_IP, Run, run_program, written
from tests.unit.stack_settings import stack_settings
from worker import settings as worker_settings
from worker.web.tokens import bearer_token, page_key

pytestmark = pytest.mark.usefixtures("clouds_yaml")

UPLOAD = {"cidrs": ["192.0.2.0/24", "2001:db8::/32"], "domain": "upload.example.org"}
CAMERAS = {"door": {"pipeline": "negatives"}, "gate-2": {"pipeline": "negatives"}}
MQTT = {"cidrs": ["198.51.100.0/24"], "cameras": CAMERAS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("program")


def plan(folder: Path, **settings: object) -> Run:
    """Return what the program asks for with these settings; each plan is made once."""
    return _plan(json.dumps(stack_settings(folder, **settings)))


@cache
def _plan(settings: str) -> Run:
    return run_program(json.loads(settings))


def openings(run: Run) -> set[tuple[int, str]]:
    """Return port and range of each rule besides ssh."""
    rules = [asked.inputs for asked in run.of("SecGroupRule")]
    assert all(rule["portRangeMin"] == rule["portRangeMax"] for rule in rules)
    assert all((rule["direction"], rule["protocol"]) == ("ingress", "tcp") for rule in rules)
    return {(rule["portRangeMin"], rule["remoteIpPrefix"]) for rule in rules} - {
        (22, "127.0.0.1/32")
    }


def resources(run: Run) -> dict[str, Any]:
    return {asked.name: asked.inputs for asked in run.resources if asked.request.custom}


def credentials(run: Run) -> dict[str, str]:
    folder = "/etc/pipeline/credentials/"
    return {
        path.removeprefix(folder): text
        for path, text in written(run).items()
        if path.startswith(folder)
    }


def changed(before: Run, after: Run) -> set[str]:
    """Return the outputs and the credentials on the machine that differ between two plans."""
    found = set()
    for old, new in ((before.outputs, after.outputs), (credentials(before), credentials(after))):
        assert set(old) == set(new)
        found |= {name for name in old if old[name] != new[name]}
    return found


def read_by_worker(run: Run, folder: Path) -> worker_settings.Settings:
    path = folder / "worker.toml"
    path.write_text(written(run)["/etc/pipeline/worker.toml"], encoding="utf-8")
    return worker_settings.load(path, {}, ())


def test_the_worker_reads_the_default(folder: Path, tmp_path: Path) -> None:
    read = read_by_worker(plan(folder), tmp_path)
    assert read.web == worker_settings.Web()
    assert read.cameras == {}


def test_the_worker_reads_what_is_open(folder: Path, tmp_path: Path) -> None:
    upload = {**UPLOAD, "maxFileMb": 12, "maxFiles": 3, "maxPerMinute": 60}
    run = plan(folder, upload=upload, mqtt=MQTT, rotation={"uploadToken": 4})
    read = read_by_worker(run, tmp_path)
    assert read.web == worker_settings.Web(
        domain="upload.example.org",
        exposed=True,
        token_round=4,
        max_file_mb=12,
        max_files=3,
        max_per_minute=60,
    )
    assert {name: each.pipeline for name, each in read.cameras.items()} == {
        "door": "negatives",
        "gate-2": "negatives",
    }


def test_without_the_page_nothing_is_served(folder: Path, tmp_path: Path) -> None:
    read = read_by_worker(plan(folder, web="false", mqtt=MQTT), tmp_path)
    assert (read.web.enabled, read.web.exposed, len(read.cameras)) == (False, False, 2)


def test_nothing_is_planned_for_the_default(folder: Path) -> None:
    """The page is on the loopback interface, and its token is derived."""
    default, without = plan(folder), plan(folder, web="false")
    assert resources(default).keys() == resources(without).keys()
    assert not default.of("InterfaceCertificates")
    assert openings(default) == set()
    assert default.outputs.keys() - without.outputs.keys() == {"uploadToken", "pageKey"}
    assert not {name for name in credentials(default) if "interface" in name or "camera" in name}


def test_each_way_in_opens_its_port_to_its_ranges(folder: Path) -> None:
    upload = {"cidrs": UPLOAD["cidrs"]}
    https = {(443, "192.0.2.0/24"), (443, "2001:db8::/32")}
    assert openings(plan(folder, upload=upload)) == https
    assert openings(plan(folder, mqtt=MQTT)) == {(8883, "198.51.100.0/24")}
    both = plan(folder, upload=UPLOAD, mqtt=MQTT)
    # Whoever issues the certificate of a domain asks over plain HTTP, from anywhere.
    assert openings(both) == {*https, (80, "0.0.0.0/0"), (8883, "198.51.100.0/24")}
    for rule in both.of("SecGroupRule"):
        version = 6 if ":" in rule.inputs["remoteIpPrefix"] else 4
        assert rule.inputs["ethertype"] == f"IPv{version}"
    assert len(both.of("SecGroup")) == 1


@pytest.mark.parametrize("settings", [{"upload": UPLOAD}, {"mqtt": MQTT}])
def test_one_resource_more_is_planned(folder: Path, settings: dict[str, Any]) -> None:
    more = resources(plan(folder, **settings)).keys() - resources(plan(folder)).keys()
    assert {name for name in more if "-from-" not in name} == {"interface-certificates"}


def test_certificate_is_for_address_and_domain(folder: Path) -> None:
    asked = plan(folder, upload=UPLOAD).one("InterfaceCertificates")
    assert (asked.inputs["address"], asked.inputs["domain"]) == (FLOATING_IP, "upload.example.org")
    assert set(asked.request.additionalSecretOutputs) == {"certificate", "authority"}


def test_machine_gets_certificate_and_passwords(folder: Path) -> None:
    run = plan(folder, upload=UPLOAD, mqtt=MQTT)
    found = credentials(run)
    assert found["interface-certificate"] == "unit-server-certificate"
    assert found["interface-authority"] == "unit-authority-certificate"
    for name in CAMERAS:
        assert found[f"camera-{name}"] == run.outputs["cameras"][name]["password"]
    assert "unit-authority-key" not in json.dumps(written(run))
    assert "camera-door" not in credentials(plan(folder, upload=UPLOAD))


def test_outputs_say_how_to_come_in(folder: Path) -> None:
    run = plan(folder, upload=UPLOAD, mqtt=MQTT)
    assert run.outputs["uploadUrl"] == "https://upload.example.org/upload"
    assert run.outputs["mqttAddress"] == f"{FLOATING_IP}:8883"
    assert run.outputs["interfaceAuthority"] == "unit-authority-certificate"
    assert {name: each["pipeline"] for name, each in run.outputs["cameras"].items()} == {
        "door": "negatives",
        "gate-2": "negatives",
    }
    assert {"uploadToken", "pageKey", "cameras"} <= run.secret_outputs
    without = plan(folder, upload={"cidrs": UPLOAD["cidrs"]})
    assert without.outputs["uploadUrl"] == f"https://{FLOATING_IP}/upload"
    assert not {"cameras", "mqttAddress"} & without.outputs.keys()


def test_passwords_are_long_and_each_cameras_own(folder: Path) -> None:
    run = plan(folder, mqtt=MQTT)
    passwords = [each["password"] for each in run.outputs["cameras"].values()]
    assert all(len(password) == 32 for password in passwords)
    assert len({*passwords, run.outputs["uploadToken"]}) == 3


def test_machine_and_operator_derive_the_same_secrets(folder: Path) -> None:
    for number in (1, 2):
        run = plan(folder, upload=UPLOAD, mqtt=MQTT, rotation={"uploadToken": number})
        assert run.outputs["uploadToken"] == bearer_token("unit-secret-key", number)
        assert run.outputs["pageKey"] == page_key("unit-secret-key", number)


@pytest.mark.parametrize(
    ("rotation", "renewed"),
    [
        ({"uploadToken": 2}, {"uploadToken", "pageKey"}),
        ({"cameras": {"door": 2}}, {"cameras", "camera-door"}),
    ],
)
def test_rotation_changes_nothing_else(
    folder: Path, rotation: dict[str, Any], renewed: set[str]
) -> None:
    before = plan(folder, upload=UPLOAD, mqtt=MQTT)
    after = plan(folder, upload=UPLOAD, mqtt=MQTT, rotation=rotation)
    assert changed(before, after) == renewed
    assert before.outputs["cameras"]["gate-2"] == after.outputs["cameras"]["gate-2"]
    old, new = resources(before), resources(after)
    assert old.keys() == new.keys()
    assert {name for name in old if old[name] != new[name]} == {"vm"}


@pytest.mark.parametrize(
    ("rotation", "keys", "round_"),
    [
        ({"keys": 2}, "store-keys-2", 1),
        ({"passwords": 2}, "store-keys", 2),
        (2, "store-keys-2", 2),
    ],
)
def test_keys_and_passwords_rotate_alone(
    folder: Path, rotation: object, keys: str, round_: int
) -> None:
    run = plan(folder, rotation=rotation)
    assert run.one("Ec2CredentialV3").name == keys
    assert run.one("TroveInstance").inputs["password_round"] == round_


def test_client_certificates_rotate_with_the_passwords(folder: Path) -> None:
    existing = {
        "database": "existing",
        "databaseHost": "192.0.2.1",
        "databaseSslMode": "require",
        "databaseClientCertificates": "true",
    }
    run = plan(folder, **existing, rotation={"keys": 5, "passwords": 4})
    assert run.one("ClientCertificates").inputs["rotation"] == 4


def test_user_data_fits_with_twenty_cameras(folder: Path) -> None:
    """Passwords do not compress, nor do two certificates and five pipelines' parameters."""
    noise = [hashlib.sha256(f"{n}".encode()).hexdigest() for n in range(150)]
    certificate = "-----BEGIN CERTIFICATE-----\n" + "\n".join(noise[:40])
    pipelines = {
        f"pipeline-{n}": {"transform": "negate", "inputBucket": f"input-{noise[n]}"[:63]}
        for n in range(5)
    }
    cameras = {f"camera-{n:02}": {"pipeline": f"pipeline-{n % 5}"} for n in range(20)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            ANSWERS,
            "pulumi-python:dynamic:InterfaceCertificates",
            {"trusted": certificate, "certificate": certificate, "authority": certificate},
        )
        run = plan(folder, pipelines=pipelines, upload=UPLOAD, mqtt={**MQTT, "cameras": cameras})
    assert len([name for name in credentials(run) if name.startswith("camera-")]) == 20
    assert len(run.one("Instance").inputs["userData"]) < NOVA_LIMIT * 3 / 4
