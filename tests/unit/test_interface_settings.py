"""`web`, `upload`, `mqtt` and `rotation`: what is read, and one sentence for each fault."""

from pathlib import Path
from typing import Any

import pytest

from infra.errors import InvalidSettings
from infra.settings.interfaces import Interfaces
from infra.settings.load import parse
from tests.unit.stack_settings import stack_settings

PIPELINES = {
    "negatives": {"transform": "negate"},
    "thumbs": {"transform": "thumbnail", "from": "negatives"},
}
RANGES = ["192.0.2.0/24"]
CAMERA = {"door": {"pipeline": "negatives"}}
MQTT = {"cidrs": RANGES, "cameras": CAMERA}


def read(folder: Path, **settings: object) -> Interfaces:
    values = stack_settings(folder, pipelines=PIPELINES, **settings)
    return parse(values, "image-pipeline-unit").interfaces


def faults(folder: Path, **settings: object) -> list[str]:
    with pytest.raises(InvalidSettings) as refusal:
        read(folder, **settings)
    return list(refusal.value.sentences)


def upload(**keys: object) -> dict[str, object]:
    return {"upload": {"cidrs": RANGES, **keys}}


def camera(name: str = "door", pipeline: object = "negatives") -> dict[str, object]:
    return {"mqtt": {"cidrs": RANGES, "cameras": {name: {"pipeline": pipeline}}}}


#: Settings, how a sentence begins, and its remedy.
TABLE: list[tuple[dict[str, Any], str, str]] = [
    ({"web": "maybe"}, "web is 'maybe'", "set it to true or false"),
    ({"web": "false", **upload()}, "upload is set, but web is false", "set web to true"),
    ({"upload": "yes"}, "upload is 'yes'", "to a map, for example {cidrs: [192.0.2.0/24]}."),
    ({"upload": {"domain": "a.example"}}, "upload.cidrs is missing", "[192.0.2.0/24]"),
    (upload(cidrs=[]), "upload.cidrs is missing", "[192.0.2.0/24]"),
    (upload(cidrs="192.0.2.0/24"), "upload.cidrs is '192.0.2.0/24'", "set it to a list"),
    (upload(cidrs=["home"]), "upload.cidrs[0] is 'home'", "192.0.2.7/32"),
    (upload(cidrs=[*RANGES, 7]), "upload.cidrs[1] is '7'", "192.0.2.7/32"),
    (upload(cidrs=["0.0.0.0/0"]), "upload.cidrs[0] is '0.0.0.0/0'", "your networks"),
    (upload(cidrs=["::/0"]), "upload.cidrs[0] is '::/0'", "your networks"),
    (upload(cidrs=["192.0.2.9/24"]), "upload.cidrs[0] is '192.0.2.9/24'", "192.0.2.0/24"),
    (upload(cidrs=RANGES * 2), "upload.cidrs has '192.0.2.0/24' twice", "once"),
    (upload(cidrs=["2001:DB8::/32", "2001:db8::/32"]), "upload.cidrs has '2001:db8::/32'", "once"),
    (upload(cidr=RANGES), "upload.cidr is not a known key", "did you mean cidrs?"),
    (upload(colour="red"), "upload.colour is not a known key", "maxFileMb, maxFiles"),
    (upload(domain="https://a.example"), "upload.domain is 'https://a.example'", "remove it"),
    (upload(domain="192.0.2.7"), "upload.domain is '192.0.2.7'", "upload.example.org"),
    (upload(domain="localhost"), "upload.domain is 'localhost'", "upload.example.org"),
    (upload(domain="a.example\n}"), "upload.domain is 'a.example\\n}'", "upload.example.org"),
    (upload(domain=7), "upload.domain is '7'", "upload.example.org"),
    (upload(maxFileMb=0), "upload.maxFileMb is 0", "from 1 to 5369"),
    (upload(maxFileMb=6000), "upload.maxFileMb is 6000", "from 1 to 5369"),
    (upload(maxFiles="many"), "upload.maxFiles is 'many'", "a whole number"),
    (upload(maxFiles=1.5), "upload.maxFiles is 1.5", "a whole number"),
    (upload(maxPerMinute=True), "upload.maxPerMinute is True", "a whole number"),
    ({"mqtt": ["door"]}, "mqtt is ['door']", "cameras: {door: {pipeline: NAME}}}."),
    ({"mqtt": {"cameras": CAMERA}}, "mqtt.cidrs is missing", "[192.0.2.0/24]"),
    ({"mqtt": {"cidrs": RANGES}}, "mqtt.cameras is missing", "door: {pipeline: NAME}"),
    ({"mqtt": {**MQTT, "cameras": {}}}, "mqtt.cameras is missing", "door: {pipeline: NAME}"),
    ({"mqtt": {**MQTT, "cameras": ["door"]}}, "mqtt.cameras is ['door']", "set it to a map"),
    ({"mqtt": {**MQTT, "cidrs": ["0.0.0.0/1"]}}, "mqtt.cidrs[0] is '0.0.0.0/1'", "networks"),
    ({"mqtt": {**MQTT, "port": 1}}, "mqtt.port is not a known key", "cidrs, cameras"),
    (camera("Front Door"), "mqtt.cameras.Front Door is not a name", "a letter first"),
    (camera("a" * 21), f"mqtt.cameras.{'a' * 21} is not a name", "up to 19"),
    (camera("door\n"), "mqtt.cameras.door\n is not a name", "a letter first"),
    (camera("ingest"), "mqtt.cameras.ingest is the broker's own user", "another name"),
    (camera(pipeline="negative"), "mqtt.cameras.door.pipeline is 'negative'", "negatives"),
    (camera(pipeline="thumbs"), "mqtt.cameras.door.pipeline is 'thumbs'", "name one of negatives"),
    (camera(pipeline=3), "mqtt.cameras.door.pipeline is 3", "set it to a text"),
    (
        {"mqtt": {**MQTT, "cameras": {"pipeline": {}}}},
        "mqtt.cameras.pipeline.pipeline is missing",
        "the name of a pipeline",
    ),
    (
        {"mqtt": {**MQTT, "cameras": {"cameras": {"pipe": "x", "pipeline": "negatives"}}}},
        "mqtt.cameras.cameras.pipe is not a known key",
        "did you mean pipeline?",
    ),
    ({"rotation": "often"}, "rotation is 'often'", "or to a map of keys, passwords"),
    ({"rotation": [2]}, "rotation is '[2]'", "a whole number from 1"),
    ({"rotation": "9" * 30}, f"rotation is '{'9' * 30}'", "from 1 to 1000000"),
    ({"rotation": "9" * 5000}, f"rotation is '{'9' * 5000}'", "from 1 to 1000000"),
    ({"rotation": {"keys": 0}}, "rotation.keys is 0", "from 1 to 1000000"),
    ({"rotation": {"key": 2}}, "rotation.key is not a known key", "did you mean keys?"),
    ({"rotation": {"passwords": None}}, "rotation.passwords is None", "a whole number"),
    ({"rotation": {"uploadToken": -1}}, "rotation.uploadToken is -1", "a whole number"),
    ({"rotation": {"cameras": 2}}, "rotation.cameras is 2", "set it to a map"),
    ({"rotation": {"cameras": {"door": 2}}}, "rotation.cameras has 'door'", "remove it"),
    (
        {"rotation": {"cameras": {"dor": 2}}, "mqtt": MQTT},
        "rotation.cameras has 'dor'",
        "name one of door",
    ),
    (
        {"rotation": {"cameras": {"door": "x"}}, "mqtt": MQTT},
        "rotation.cameras.door is 'x'",
        "a whole number",
    ),
]


@pytest.mark.parametrize(("settings", "thing", "remedy"), TABLE)
def test_bad_setting(tmp_path: Path, settings: dict[str, Any], thing: str, remedy: str) -> None:
    (sentence,) = faults(tmp_path, **settings)
    assert sentence.startswith(thing)
    assert remedy in sentence


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        flavor="",
        upload={"cidrs": ["home"], "maxFiles": 0},
        mqtt={"cameras": {"Door": {}}},
        rotation={"keys": 0},
    )
    assert [sentence.partition(" ")[0] for sentence in found] == [
        *("upload.cidrs[0]", "upload.maxFiles"),
        *("mqtt.cidrs", "mqtt.cameras.Door", "mqtt.cameras.Door.pipeline"),
        *("rotation.keys", "flavor"),
    ]


def test_faults_of_cameras_and_of_rotation_are_reported_together(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        web="false",
        **upload(),
        mqtt=camera(pipeline="x")["mqtt"],
        rotation={"cameras": {"a": 2}},
    )
    assert [sentence.split()[0] for sentence in found] == [
        *("upload", "mqtt.cameras.door.pipeline", "rotation.cameras")
    ]


def test_cameras_are_not_blamed_for_faults_of_pipelines(tmp_path: Path) -> None:
    values = stack_settings(tmp_path, pipelines={"negatives": {"transform": "x"}}, mqtt=MQTT)
    with pytest.raises(InvalidSettings) as refusal:
        parse(values, "image-pipeline-unit")
    (sentence,) = refusal.value.sentences
    assert sentence.startswith("pipelines.negatives.transform")


def test_default_opens_nothing(tmp_path: Path) -> None:
    found = read(tmp_path)
    assert (found.web, found.upload, found.mqtt, found.cameras) == (True, None, None, {})
    assert found.rotation.model_dump() == {
        "keys": 1,
        "passwords": 1,
        "upload_token": 1,
        "cameras": {},
    }


def test_every_key_is_read(tmp_path: Path) -> None:
    """Numbers may be texts, as `pulumi config set --path` writes some."""
    found = read(
        tmp_path,
        web="true",
        upload={
            "cidrs": ["192.0.2.0/24", "2001:db8::/32"],
            "domain": "upload.example.org",
            "maxFileMb": 12,
            "maxFiles": "3",
            "maxPerMinute": 60,
        },
        mqtt={"cidrs": ["192.0.2.8/32"], "cameras": {"door": {"pipeline": "negatives"}}},
        rotation={"keys": 2, "passwords": "3", "uploadToken": 4, "cameras": {"door": 5}},
    )
    assert found.upload is not None
    assert found.upload.model_dump() == {
        "cidrs": ("192.0.2.0/24", "2001:db8::/32"),
        "domain": "upload.example.org",
        "max_file_mb": 12,
        "max_files": 3,
        "max_per_minute": 60,
    }
    assert found.mqtt is not None
    assert found.mqtt.cidrs == ("192.0.2.8/32",)
    assert {name: each.pipeline for name, each in found.cameras.items()} == {"door": "negatives"}
    rounds = found.rotation
    assert (rounds.keys, rounds.passwords, rounds.upload_token) == (2, 3, 4)
    assert rounds.cameras == {"door": 5}


@pytest.mark.parametrize("value", [4, "4", " 4 "])
def test_an_integer_rotates_keys_and_passwords(tmp_path: Path, value: object) -> None:
    """It did so before there were tokens and cameras."""
    rounds = read(tmp_path, rotation=value).rotation
    assert (rounds.keys, rounds.passwords, rounds.upload_token) == (4, 4, 1)
