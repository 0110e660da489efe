"""The plugin as the engine uses it: its launcher, and the protocol over a real connection."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import provider_pb2 as pb

from local.cloud import LocalCloud
from tests.eventually import patience
from tests.unit.plugin_engine import Engine, secret, struct

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
BUCKET = "openstack:objectstorage/container:Container"
EC2 = "openstack:identity/ec2CredentialV3:Ec2CredentialV3"
FLOATING = "openstack:networking/floatingIp:FloatingIp"
GROUP = "openstack:networking/secGroup:SecGroup"
KEYPAIR = "openstack:compute/keypair:Keypair"
PORT = "openstack:networking/port:Port"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
TO_PORT = "openstack:networking/floatingIpAssociate:FloatingIpAssociate"
VM = "openstack:compute/instance:Instance"
KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519" + bytes(36)).decode() + " me"


@pytest.fixture(scope="module")
def plugin(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    home = tmp_path_factory.mktemp("home")
    local_cloud.install_plugin(home)
    (launcher,) = home.glob("plugins/*/pulumi-resource-openstack")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OS_")},
        "OS_CLIENT_CONFIG_FILE": str(local_cloud.clouds_yaml),
    }
    with subprocess.Popen(
        [str(launcher), "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield Engine(f"127.0.0.1:{port}")
        process.send_signal(2)  # as the engine ends it; it waits five seconds, then kills
        process.wait(60 * patience())


def test_plugin_has_the_version_of_the_sdk(
    plugin: Engine, tmp_path: Path, local_cloud: LocalCloud
) -> None:
    local_cloud.install_plugin(tmp_path)
    folder = tmp_path / "plugins" / f"resource-openstack-v{version('pulumi-openstack')}"
    assert (folder / "pulumi-resource-openstack").stat().st_mode & 0o777 == 0o755
    assert folder.name.endswith(plugin.stub.GetPluginInfo(Empty()).version)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"cloud": "pouta"}, "does not serve the cloud 'pouta'"),
        ({}, "a provider without a cloud's name"),
        ({"cloud": "local", "regoin": "x"}, "did you mean 'region'?"),
    ],
)
def test_other_clouds_are_refused(plugin: Engine, config: dict[str, Any], words: str) -> None:
    (failure,) = plugin.stub.CheckConfig(pb.CheckRequest(news=struct(config))).failures
    assert words in failure.reason


@pytest.mark.parametrize("config", [{"cloud": "local"}, {"cloud": "local", "version": "5.5.3"}])
def test_local_cloud_is_accepted(plugin: Engine, config: dict[str, Any]) -> None:
    assert not plugin.stub.CheckConfig(pb.CheckRequest(news=struct(config))).failures
    answer = plugin.stub.Configure(pb.ConfigureRequest(args=struct(config)))
    assert answer.acceptSecrets
    assert answer.supportsPreview


def test_check_reports_errors_and_generates_missing_names(plugin: Engine) -> None:
    (failure,) = plugin.check(PORT, {"name": "p"}).failures
    assert failure.property == "networkId"
    named = MessageToDict(plugin.check(BUCKET, {}).inputs)["name"]
    assert named.startswith("it-")
    assert MessageToDict(plugin.check(BUCKET, {}, {"name": "old"}).inputs) == {"name": "old"}
    assert MessageToDict(plugin.check(FLOATING, {"pool": "public"}).inputs) == {"pool": "public"}
    kept = plugin.check(VM, {"name": "v", "userData": secret("x")}).inputs
    assert MessageToDict(kept)["userData"] == secret("x")


@pytest.mark.parametrize(
    ("token", "olds", "news", "names"),
    [
        (BUCKET, {"name": "a"}, {"name": "b"}, {"name": False}),
        (BUCKET, {"name": "a"}, {"name": "a", "forceDestroy": True}, {"forceDestroy": False}),
        (VM, {"userData": secret("a")}, {"userData": secret("b")}, {"userData": True}),
        (VM, {"userData": secret("a")}, {"userData": "a"}, {}),
        (VM, {"userData": "a"}, {"userData": UNKNOWN}, {"userData": True}),
        (PORT, {"networkId": "n", "tags": ["a"]}, {"networkId": "n"}, {"tags": False}),
        (GROUP, {"name": "a", "region": "r"}, {"name": "b"}, {"name": False, "region": True}),
        (EC2, {}, {}, {}),
    ],
)
def test_diff_lists_changes_and_replacements(
    plugin: Engine,
    token: str,
    olds: dict[str, Any],
    news: dict[str, Any],
    names: dict[str, bool],
) -> None:
    answer = plugin.diff(token, olds, news)
    assert set(answer.detailedDiff) == set(names)
    assert set(answer.replaces) == {name for name, replaces in names.items() if replaces}
    assert answer.changes == (pb.DiffResponse.DIFF_SOME if names else pb.DiffResponse.DIFF_NONE)


def test_preview_knows_only_the_inputs(plugin: Engine) -> None:
    identifier, outputs = plugin.create(EC2, {}, preview=True)
    assert identifier == ""
    assert outputs["access"] == UNKNOWN
    assert outputs["secret"] == secret(UNKNOWN)
    _, outputs = plugin.create(VM, {"name": "v", "imageName": "Ubuntu-24.04"}, preview=True)
    assert outputs["imageName"] == "Ubuntu-24.04"
    assert outputs["accessIpV4"] == UNKNOWN


def test_store_keys_are_secret_and_gone_after_delete(plugin: Engine) -> None:
    identifier, outputs = plugin.create(EC2, {})
    assert outputs["secret"]["4dabf18193072939515e22adb298388d"]
    again = MessageToDict(plugin.read(EC2, identifier, {}).properties)
    assert again == outputs
    plugin.delete(EC2, identifier)
    assert plugin.read(EC2, identifier, {}).id == ""
    plugin.delete(EC2, identifier)  # gone already is fine


def test_existing_bucket_is_taken_and_only_an_empty_one_is_deleted(
    plugin: Engine, local_cloud: LocalCloud
) -> None:
    s3 = _s3(local_cloud)
    s3.create_bucket(Bucket="there-before")
    assert plugin.create(BUCKET, {"name": "there-before"})[0] == "there-before"
    s3.put_object(Bucket="there-before", Key="k", Body=b"")
    with pytest.raises(grpc.RpcError, match="set forceDestroy"):
        plugin.delete(BUCKET, "there-before")
    plugin.create(BUCKET, {"name": "there-before", "forceDestroy": True})
    plugin.delete(BUCKET, "there-before")
    assert plugin.read(BUCKET, "there-before", {}).id == ""


def test_rename_of_a_container_is_ignored_and_stays_visible(
    plugin: Engine, local_cloud: LocalCloud
) -> None:
    """The real provider does the same: its schema says `ForceNew: false`, its update skips it."""
    inputs = {"name": "keeps-its-name"}
    identifier, outputs = plugin.create(BUCKET, inputs)
    asked = {"name": "another-name"}
    updated = plugin.update(BUCKET, identifier, outputs, asked)
    assert updated["name"] == "keeps-its-name"
    answer = plugin.diff(BUCKET, asked, asked, outputs=updated)
    assert (list(answer.detailedDiff), list(answer.replaces)) == (["name"], [])
    read = plugin.read(BUCKET, identifier, asked)
    assert MessageToDict(read.inputs)["name"] == "keeps-its-name"
    names = [bucket["Name"] for bucket in _s3(local_cloud).list_buckets()["Buckets"]]
    assert "another-name" not in names
    plugin.delete(BUCKET, identifier)


def test_next_update_starts_a_server_that_was_shut_off(
    plugin: Engine, local_cloud: LocalCloud
) -> None:
    inputs = {
        "name": "shut-off",
        "imageName": "Ubuntu-24.04",
        "flavorName": "standard.tiny",
        "userData": "#cloud-config\n{}",
        "powerState": "active",
    }
    identifier, outputs = plugin.create(VM, inputs)
    _act(local_cloud, identifier, "os-stop")
    assert _status(local_cloud, identifier) == "SHUTOFF"
    read = plugin.read(VM, identifier, inputs)
    assert MessageToDict(read.inputs)["powerState"] == "shutoff"
    found = MessageToDict(read.properties)
    assert list(plugin.diff(VM, inputs, inputs, outputs=found).detailedDiff) == ["powerState"]
    assert plugin.update(VM, identifier, outputs, inputs)["powerState"] == "active"
    assert _status(local_cloud, identifier) == "ACTIVE"
    plugin.delete(VM, identifier)


def test_force_destroy_does_not_delete_s3_versions(plugin: Engine, local_cloud: LocalCloud) -> None:
    s3 = _s3(local_cloud)
    plugin.create(BUCKET, {"name": "versioned", "forceDestroy": True})
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="versioned", Key="k", Body=b"")
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError, match="purge them over S3"):
        plugin.delete(BUCKET, "versioned")
    assert time.monotonic() - begun < 60 * patience()
    found = s3.list_object_versions(Bucket="versioned")
    for one in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
        s3.delete_object(Bucket="versioned", Key=one["Key"], VersionId=one["VersionId"])
    plugin.delete(BUCKET, "versioned")


def test_server_needs_existing_resources_and_a_free_port(
    plugin: Engine, local_cloud: LocalCloud
) -> None:
    group, _ = plugin.create(GROUP, {"name": "g"})
    tcp: dict[str, Any] = {"protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}
    rule = {"securityGroupId": group, "direction": "ingress", "ethertype": "IPv4", **tcp}
    plugin.create(RULE, rule)
    assert "already exists" in plugin.refused(RULE, rule)
    port, made = plugin.create(
        PORT, {"name": "p", "networkId": _network(local_cloud), "securityGroupIds": [group]}
    )
    assert made["allFixedIps"][0].startswith("192.168.1.")
    name, _ = plugin.create(KEYPAIR, {"name": "k", "publicKey": KEY})
    ip, allocated = plugin.create(FLOATING, {"pool": "public"})
    assert allocated["address"].startswith("127.")
    inputs: dict[str, Any] = {
        "name": "vm",
        "imageName": "Ubuntu-24.04",
        "flavorName": "standard.tiny",
        "keyPair": name,
        "networks": [{"port": port}],
        "userData": secret("#cloud-config\n{}"),
    }
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"imageName": "Ubuntu-2.04"}, "No image with the name 'Ubuntu-2.04'"),
        ({"flavorName": "tiny"}, "No flavor with the name 'tiny'"),
        ({"keyPair": "other"}, "Keypair other could not be found"),
        ({"networks": [{"port": "other"}]}, "Port other could not be found"),
        ({"userData": "-" * 49152}, "Nova takes 65535"),
    ]
    for wrong, words in mistakes:
        assert words in plugin.refused(VM, {**inputs, **wrong})
    machine, running = plugin.create(VM, inputs)
    assert running["accessIpV4"] == made["allFixedIps"][0]
    assert "cloud-config" not in json.dumps(running)
    assert [one.name for one in local_cloud.machines()] == ["vm"]
    assert "still in use" in plugin.refused(VM, {**inputs, "name": "second"})
    with pytest.raises(grpc.RpcError, match="in use"):
        plugin.delete(GROUP, group)
    way, _ = plugin.create(TO_PORT, {"floatingIp": allocated["address"], "portId": port})
    assert plugin.read(TO_PORT, way, {}).id == way
    assert "could not be found" in plugin.refused(
        TO_PORT, {"floatingIp": "127.0.0.9", "portId": port}
    )
    plugin.delete(TO_PORT, way)
    assert plugin.read(TO_PORT, way, {}).id == ""
    plugin.delete(VM, machine)
    assert local_cloud.machines() == []
    second, _ = plugin.create(VM, {**inputs, "name": "second"})
    for token, identifier in (
        *((VM, second), (FLOATING, ip), (KEYPAIR, name), (PORT, port), (GROUP, group)),
    ):
        plugin.delete(token, identifier)
        assert plugin.read(token, identifier, {}).id == ""


def test_functions_are_refused(plugin: Engine) -> None:
    (failure,) = plugin.stub.Invoke(pb.InvokeRequest(tok="openstack:images/x:x")).failures
    assert failure.reason.endswith("has no function openstack:images/x:x.")


def _s3(local_cloud: LocalCloud) -> Any:
    import boto3  # noqa: PLC0415

    store = json.loads((local_cloud.folder / "object-store/object-store.json").read_text("utf-8"))
    return boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        aws_access_key_id=store["access_key"],
        aws_secret_access_key=store["secret_key"],
        region_name="us-east-1",
    )


def _compute(local_cloud: LocalCloud) -> Any:
    import openstack  # noqa: PLC0415

    entry = json.loads(local_cloud.clouds_yaml.read_text("utf-8"))["clouds"]["local"]
    return openstack.connect(load_envvars=False, load_yaml_config=False, **entry).compute


def _act(local_cloud: LocalCloud, identifier: str, action: str) -> None:
    answer = _compute(local_cloud).post(f"/servers/{identifier}/action", json={action: None})
    assert answer.status_code == 202


def _status(local_cloud: LocalCloud, identifier: str) -> str:
    return str(_compute(local_cloud).get_server(identifier).status)


def _network(local_cloud: LocalCloud) -> str:
    entry = json.loads(local_cloud.clouds_yaml.read_text("utf-8"))["clouds"]["local"]["auth"]
    user = {"name": entry["username"], "password": entry["password"]}
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
    url = entry["auth_url"]
    body = json.dumps({"auth": auth}).encode()
    with urlopen(Request(f"{url}/auth/tokens", body)) as answer:  # noqa: S310
        token = answer.headers["X-Subject-Token"]
    networks = f"{url.removesuffix('/identity/v3')}/network/v2.0/networks?router:external=false"
    with urlopen(Request(networks, headers={"X-Auth-Token": token})) as answer:  # noqa: S310
        return str(json.load(answer)["networks"][0]["id"])
