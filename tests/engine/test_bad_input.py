"""What a person gets for each mistake, and each thing that a cloud refuses, before `up` begins.

One row a test: a condition, provoked in the stack's settings, in clouds.yaml or in the cloud's own
services; what `./pipeline up` then says; and that without the condition nothing stands in the way.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from cli.engine.find import pulumi_root
from tests.engine.conftest import open_folder
from tests.engine.researcher import LOCALLY, Researcher, researcher

UP = ("up", "--stack", "lab")
CHECK = ("init", "lab", "--check")


@pytest.fixture(scope="module")
def person(pulumi: Path) -> Iterator[Researcher]:
    """Somebody with a stack `lab` that is not up yet."""
    with open_folder() as folder, researcher(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY)
        (folder / "home" / "secret").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        yield made


@pytest.fixture(autouse=True)
def as_it_was(person: Researcher) -> Iterator[None]:
    """Whatever a test did to the person's files is undone."""
    files = (person.settings_file("lab"), person.clouds_yaml)
    before, environment = [file.read_text() for file in files], dict(person.checkout.environment)
    yield
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
    person.checkout.environment.clear()  # type: ignore[attr-defined]
    person.checkout.environment.update(environment)  # type: ignore[attr-defined]


def refused(person: Researcher, *told: str, words: tuple[str, ...] = UP) -> None:
    """The command fails, and one sentence of it says all of `told`."""
    answer = person.checkout.pipeline(*words, code=None)
    assert answer.returncode != 0, answer.stdout + answer.stderr
    sentences = answer.stderr.strip().splitlines()
    assert any(all(text in each for text in told) for each in sentences), answer.stderr


@dataclass(frozen=True)
class Wrong:
    """Bad settings, and what the sentence has: the thing, the value, the remedy."""

    settings: dict[str, Any]
    told: tuple[str, ...]


SETTINGS = {
    "equal buckets": Wrong({"inputBucket": "b-1", "outputBucket": "b-1"}, ("'b-1'", "its own")),
    "no bucket name": Wrong({"inputBucket": "My_Photos"}, ("'My_Photos'", "3 to 63")),
    "unknown flavor": Wrong({"flavor": "huge"}, ("flavor is 'huge'", "standard.tiny")),
    "unknown image": Wrong({"image": "Windows"}, ("image is 'Windows'", "Ubuntu-24.04")),
    "unknown network": Wrong({"network": "x"}, ("network is 'x'", "project_local")),
    "unknown region": Wrong({"computeRegion": "x"}, ("computeRegion is 'x'", "RegionLocal")),
    "unknown database region": Wrong({"databaseRegion": "x"}, ("databaseRegion", "RegionLocal")),
    "unknown database flavor": Wrong({"databaseFlavor": "x"}, ("databaseFlavor is 'x'", "medium")),
    "unknown database version": Wrong({"databaseVersion": "9"}, ("databaseVersion is '9'", "17.")),
    "no SSH key": Wrong({"sshPublicKeyFile": "~/.ssh/none.pub"}, ("none.pub", "cannot be read")),
    "a private key": Wrong({"sshPublicKeyFile": "~/secret"}, ("~/secret", "ending in .pub")),
    "no CIDR": Wrong({"operatorCidrs": ["home"]}, ("'home'", "192.0.2.7/32")),
    "ssh for everybody": Wrong({"operatorCidrs": ["0.0.0.0/0"]}, ("'0.0.0.0/0'", "your own")),
    "database too wide": Wrong({"databaseCidrs": ["10.0.0.0/21"]}, ("'10.0.0.0/21'", "/22")),
    "no number": Wrong({"databaseVolumeSize": "big"}, ("'big'", "whole number")),
    "no boolean": Wrong({"protectData": "maybe"}, ("'maybe'", "true or false")),
    "no list": Wrong({"operatorCidrs": "127.0.0.1/32"}, ("'127.0.0.1/32'", "list")),
    "no setting": Wrong({"flavour": "x"}, ("flavour", "no setting")),
    "no such database": Wrong({"database": "mine"}, ("'mine'", "trove, existing")),
    "no host": Wrong({"database": "existing"}, ("databaseHost is missing", "set it to")),
    "one user for both": Wrong(
        {"database": "existing", "databaseUser": "db_admin"}, ("'db_admin'", "user of its own")
    ),
    "no entry": Wrong({"computeCloud": "pouta"}, ("'pouta'", "it has local")),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_wrong_setting_is_named_with_its_remedy(name: str, person: Researcher) -> None:
    person.change("lab", **SETTINGS[name].settings)
    refused(person, *SETTINGS[name].told)


def test_all_wrong_settings_are_named_at_once(person: Researcher) -> None:
    person.change("lab", operatorCidrs=["home"], databaseVolumeSize="big", protectData="maybe")
    told = person.checkout.pipeline(*UP, code=1).stderr
    assert len(told.strip().splitlines()) == 3


def test_without_a_wrong_setting_nothing_stands_in_the_way(person: Researcher) -> None:
    assert "Nothing stands in the way" in person.checkout.pipeline(*CHECK).stdout


def s3(person: Researcher, **more: str) -> Any:
    """A client of the cloud's object store with keys of its user's own."""
    cloud = person.openstack()
    user = cloud.session.get_user_id()
    made = cloud.identity.post(f"/users/{user}/credentials/OS-EC2", json={}).json()["credential"]
    endpoint = str(cloud.session.get_endpoint(service_type="object-store", interface="public"))
    return boto3.client(
        "s3",
        endpoint_url=endpoint.split("/swift", maxsplit=1)[0],
        aws_access_key_id=more.get("access") or made["access"],
        aws_secret_access_key=made["secret"],
        region_name="us-east-1",
    )


def test_a_bucket_that_exists_is_adopted_or_renamed(person: Researcher) -> None:
    s3(person).create_bucket(Bucket="holiday")
    person.change("lab", inputBucket="holiday")
    refused(person, "holiday", "exists already", "inputBucket", "adoptBuckets")
    person.change("lab", adoptBuckets=["holiday"])
    person.checkout.pipeline(*CHECK)


def test_a_bucket_of_somebody_else_needs_another_name(person: Researcher) -> None:
    theirs = boto3.client(
        "sts",
        endpoint_url=s3(person).meta.endpoint_url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    ).assume_role(RoleArn="arn:aws:iam::222222222222:role/anna", RoleSessionName="anna")
    s3(person, access=theirs["Credentials"]["AccessKeyId"]).create_bucket(Bucket="annas")
    person.change("lab", outputBucket="annas")
    refused(person, "annas", "exists already", "outputBucket", "another name")
    person.change("lab", outputBucket="annas-no-more")
    person.checkout.pipeline(*CHECK)


def test_one_of_several_networks_must_be_named(person: Researcher) -> None:
    neutron = person.openstack().network
    made = neutron.create_network(name="other")
    subnet = neutron.create_subnet(network_id=made.id, ip_version=4, cidr="10.1.0.0/24")
    [router] = neutron.routers()
    neutron.add_interface_to_router(router, subnet=subnet.id)
    refused(person, "network is missing", "other, project_local")
    person.change("lab", network="project_local")
    person.checkout.pipeline(*CHECK)
    neutron.delete_network(made)


QUOTAS = {
    "network": ("/quotas/{}", "quota"),
    "compute": ("/os-quota-sets/{}", "quota_set"),
    "database": ("/mgmt/quotas/{}", "quotas"),
}


@pytest.mark.parametrize(
    ("service", "limit", "told"),
    [
        ("network", {"floatingip": 0}, "floating IPs: 0 of 0"),
        ("compute", {"cores": 0}, "cores: 0 of 0"),
        ("compute", {"instances": 0}, "instances: 0 of 0"),
        ("database", {"instances": 0}, "database instances: 0 of 0"),
        ("database", {"volumes": 0}, "GiB of database volumes: 0 of 0"),
    ],
)
def test_a_quota_that_is_used_up_is_found_first(
    service: str, limit: dict[str, int], told: str, person: Researcher
) -> None:
    cloud, (path, key) = person.openstack(), QUOTAS[service]
    adapter, project = getattr(cloud, service), cloud.session.get_project_id()
    adapter.put(path.format(project), json={key: limit})
    refused(person, "Cloud 'local' has no room", told, "ask the cloud's support")
    adapter.put(path.format(project), json={key: dict.fromkeys(limit, 9)})
    person.checkout.pipeline(*CHECK)


Spoil = Callable[[dict[str, Any]], None]


def spoiled(person: Researcher, spoil: Spoil) -> str:
    """Change the entry `local` of clouds.yaml; the file as it was."""
    before = person.clouds_yaml.read_text()
    content = yaml.safe_load(before)
    spoil(content["clouds"]["local"])
    person.clouds_yaml.write_text(yaml.safe_dump(content))
    return before


def closed_port(entry: dict[str, Any]) -> None:
    entry["auth"]["auth_url"] = "http://127.0.0.1:9/identity/v3"


def wrong_password(entry: dict[str, Any]) -> None:
    entry["auth"]["password"] = "guessed"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (wrong_password, ("Cloud 'local' refuses the credentials", "renew them")),
        (closed_port, ("Cloud 'local' cannot be asked", "127.0.0.1")),
    ],
)
def test_a_bad_entry_of_clouds_yaml(
    spoil: Spoil, told: tuple[str, ...], person: Researcher
) -> None:
    before = spoiled(person, spoil)
    refused(person, *told)
    person.clouds_yaml.write_text(before)
    person.checkout.pipeline(*CHECK)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, ("'mine'", "restricted", "unrestricted one")),
        (
            {"unrestricted": True, "access_rules": [{"method": "GET", "path": "/v2.1/servers"}]},
            ("'mine'", "access rules", "without access rules"),
        ),
        (
            {"unrestricted": True, "expires_at": "2020-01-01T00:00:00"},
            ("refuses the credentials", "expired", "renew them"),
        ),
    ],
    ids=["restricted", "access rules", "expired"],
)
def test_an_application_credential_that_will_not_do(
    asked: dict[str, Any], told: tuple[str, ...], person: Researcher
) -> None:
    log_in = application_credential(person, **asked)
    before = spoiled(person, log_in)
    refused(person, *told)
    person.clouds_yaml.write_text(before)
    spoiled(person, application_credential(person, unrestricted=True))
    person.checkout.pipeline(*CHECK)
    person.clouds_yaml.write_text(before)


def application_credential(person: Researcher, **asked: Any) -> Spoil:
    """Make one; what puts it into an entry of clouds.yaml."""
    cloud = person.openstack()
    path = f"/users/{cloud.session.get_user_id()}/application_credentials"
    body = {"application_credential": {"name": "mine", **asked}}
    made = cloud.identity.post(path, json=body).json()["application_credential"]

    def log_in(entry: dict[str, Any]) -> None:
        entry["auth_type"] = "v3applicationcredential"
        entry["auth"] = {
            "auth_url": entry["auth"]["auth_url"],
            "application_credential_id": made["id"],
            "application_credential_secret": made["secret"],
        }

    return log_in


def test_no_clouds_yaml(person: Researcher) -> None:
    kept = person.clouds_yaml.rename(person.clouds_yaml.with_suffix(".kept"))
    refused(person, "OS_CLIENT_CONFIG_FILE names", "no file", "name a clouds.yaml")
    named = person.checkout.environment.pop("OS_CLIENT_CONFIG_FILE")  # type: ignore[attr-defined]
    refused(person, "No clouds.yaml", "~/.config/openstack/clouds.yaml", words=("init", "new"))
    person.checkout.environment["OS_CLIENT_CONFIG_FILE"] = named  # type: ignore[index]
    kept.rename(person.clouds_yaml)
    person.checkout.pipeline(*CHECK)


def test_variables_of_another_cloud_do_no_harm(person: Researcher) -> None:
    person.checkout.environment["OS_REGION_NAME"] = "elsewhere"  # type: ignore[index]
    person.checkout.pipeline(*CHECK)


def test_an_unknown_stack_is_not_made_by_a_slip(person: Researcher) -> None:
    refused(person, "'lap'", "known: lab", "./pipeline init lap", words=("up", "--stack", "lap"))


def test_an_old_pulumi_is_named_and_left_alone(person: Researcher) -> None:
    """The one that is new enough comes from the cache, as on a second run."""
    root = pulumi_root()
    cache, old = person.base / "cache" / "image-pipeline", person.base / "old"
    for link, target in ((cache / root.name, root), (old / "git", Path(shutil.which("git") or ""))):
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    (old / "pulumi").write_text("#!/bin/sh\necho v3.100.0\n")
    (old / "pulumi").chmod(0o755)
    environment = person.checkout.environment
    path = [each for each in environment["PATH"].split(os.pathsep) if each != str(root / "bin")]
    environment["PATH"] = os.pathsep.join([str(old), *path])  # type: ignore[index]
    environment["XDG_CACHE_HOME"] = str(cache.parent)  # type: ignore[index]
    told = person.checkout.pipeline("strays", "--stack", "lab").stderr
    assert "pulumi on PATH is v3.100.0, older than v3.259.0: using our own." in told


def test_a_python_without_venv(person: Researcher) -> None:
    """The command's first sentence on a bare Debian."""
    bare, folder = person.base / "bare", person.base / "clone"
    bare.mkdir()
    folder.mkdir()
    for name in ("pipeline", "requirements.txt", "requirements-dev.txt"):
        shutil.copy2(person.checkout.folder / name, folder / name)
    shutil.copytree(person.checkout.folder / "local", folder / "local")
    real = shutil.which("python3.11") or shutil.which("python3")
    (bare / "python3").write_text(f'#!/bin/sh\n[ "$2" = venv ] && exit 1\nexec "{real}" "$@"\n')
    (bare / "python3").chmod(0o755)
    environment = {**person.checkout.environment, "PATH": f"{bare}:/usr/bin:/bin"}
    answer = subprocess.run(
        ["./pipeline", "demo"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert "'python3 -m venv' does not work here: install it" in answer.stderr


def test_after_all_that_nothing_was_made(person: Researcher) -> None:
    cloud = person.openstack()
    assert list(cloud.compute.servers()) == list(cloud.network.ips()) == []
