"""Errors that `up` and `init --check` report before anything is created.

Each is provoked in the stack's settings or in the cloud's services; without it the check passes.
"""

from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from tests.engine.cloud_operator import CHECK, UP, CloudOperator

pytestmark = pytest.mark.usefixtures("as_it_was")


@dataclass(frozen=True)
class Wrong:
    """Bad settings, and texts of the message: the setting, the value, the remedy."""

    settings: dict[str, Any]
    expected: tuple[str, ...]


SETTINGS = {
    "settings of older versions": Wrong(
        {"outputBucket": "b-1"}, ("outputBucket", "pipelines: {negatives: {transform: negate, out")
    ),
    "no bucket name": Wrong({"quarantineBucket": "My_Photos"}, ("'My_Photos'", "3 to 63")),
    "unknown flavor": Wrong({"flavor": "huge"}, ("flavor is 'huge'", "standard.tiny")),
    "unknown image": Wrong({"image": "Windows"}, ("image is 'Windows'", "Ubuntu-24.04")),
    "unknown network": Wrong({"network": "x"}, ("network is 'x'", "project_local")),
    "unknown region": Wrong({"computeRegion": "x"}, ("computeRegion is 'x'", "RegionLocal")),
    "unknown database region": Wrong({"databaseRegion": "x"}, ("databaseRegion", "RegionLocal")),
    "unknown database flavor": Wrong({"databaseFlavor": "x"}, ("databaseFlavor is 'x'", "medium")),
    "unknown database version": Wrong({"databaseVersion": "9"}, ("databaseVersion is '9'", "17.")),
    "no SSH key": Wrong({"sshPublicKeyFile": "~/.ssh/none.pub"}, ("none.pub", "cannot be read")),
    "half an SSH key": Wrong({"sshPublicKeyFile": "~/.ssh/half.pub"}, ("half.pub", "ssh-keygen")),
    "a private key": Wrong({"sshPublicKeyFile": "~/.ssh/id_ed25519"}, ("ending in .pub",)),
    "no CIDR": Wrong({"operatorCidrs": ["home"]}, ("'home'", "192.0.2.7/32")),
    "ssh for everybody": Wrong({"operatorCidrs": ["0.0.0.0/0"]}, ("'0.0.0.0/0'", "your own")),
    "database too wide": Wrong({"databaseCidrs": ["10.0.0.0/21"]}, ("'10.0.0.0/21'", "/22")),
    "no number": Wrong({"databaseVolumeSize": "big"}, ("'big'", "whole number")),
    "no boolean": Wrong({"protectData": "maybe"}, ("'maybe'", "true or false")),
    "no list": Wrong({"operatorCidrs": "127.0.0.1/32"}, ("'127.0.0.1/32'", "list")),
    "no setting": Wrong({"flavour": "x"}, ("flavour is not a setting", "flavor?")),
    "no such database": Wrong({"database": "mine"}, ("'mine'", "trove, existing")),
    "no host": Wrong({"database": "existing"}, ("databaseHost is missing", "set it to")),
    "one user for both": Wrong(
        {"database": "existing", "databaseUser": "db_admin"}, ("'db_admin'", "user of its own")
    ),
    "no entry": Wrong({"computeCloud": "pouta"}, ("'pouta'", "it has local")),
}

#: What one command refuses at once: each is of another setting, and found by the same check.
TOGETHER = (
    ("settings of older versions", "no bucket name", "no SSH key", "no CIDR", "no setting"),
    ("half an SSH key", "ssh for everybody", "database too wide", "no number", "no host"),
    ("a private key", "no list", "no boolean", "one user for both"),
    ("no such database",),
    *((name,) for name in SETTINGS if name.startswith("unknown ")),
    ("no entry",),
)


PIPELINES = {
    "no transform": Wrong({"transform": "negat"}, ("negatives.transform is 'negat'", "negate?")),
    "no such source": Wrong({"from": "thumbs"}, ("negatives.from is 'thumbs'", "negatives")),
    "equal buckets": Wrong({"inputBucket": "b-1", "outputBucket": "b-1"}, ("'b-1'", "its own")),
    "no such parameter": Wrong(
        {"parameters": {"x": 1}}, ("parameters.x is not a par", "it has formats")
    ),
    "too much memory": Wrong({"limits": {"memoryMb": 2000}}, ("memoryMb is 2000", "larger flavor")),
    "no such key": Wrong({"outputBuckets": "b-1"}, ("outputBuckets is not", "outputBucket?")),
}


MALFORMED = {
    "not YAML": ("  image-pipeline:image: [Ubuntu", "line ", "column "),
    "a doubled key": ("  image-pipeline:flavor: x", "image-pipeline:flavor is set twice", "line "),
    "a key that is a mapping": ("  {a: b}: c", "a key must be plain text", "line "),
    "no project": ("  flavor: x", "flavor lacks the project's name", "image-pipeline:flavor"),
    "another project": ("  image_pipeline:flavor: x", "image_pipeline:flavor", "write image-p"),
    "no value": ("  image-pipeline:computeRegion:", "computeRegion has no value", "remove"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_settings_file(name: str, operator: CloudOperator) -> None:
    """The engine would say that the passphrase does not fit, or ignore the setting."""
    line, *expected = MALFORMED[name]
    file = operator.settings_file("lab")
    head, config, rest = file.read_text().partition("config:\n")
    file.write_text(f"{head}{config}{line}\n{rest}")
    operator.expect_error(*expected)


def test_every_bad_setting_is_tried() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(SETTINGS)


@pytest.mark.parametrize("names", TOGETHER)
def test_bad_settings_are_named_with_their_remedies(
    names: tuple[str, ...], operator: CloudOperator
) -> None:
    folder = operator.base / "home" / ".ssh"
    kind, key, *_ = (folder / "id_ed25519.pub").read_text().split()
    (folder / "half.pub").write_text(f"{kind} {key[:48]}")
    for name in names:
        operator.change("lab", **SETTINGS[name].settings)
    operator.expect_errors(*(SETTINGS[name].expected for name in names))


def test_bad_keys_of_a_pipeline_are_named_with_their_remedies(operator: CloudOperator) -> None:
    for name in ("no transform", "no such key"):
        operator.define("lab", **PIPELINES[name].settings)
    expected = [PIPELINES[name].expected for name in ("no transform", "no such key")]
    operator.expect_errors(*(("pipelines.", *texts) for texts in expected))


@pytest.mark.parametrize(
    "name", ["no such source", "equal buckets", "no such parameter", "too much memory"]
)
def test_bad_key_of_a_pipeline_is_named_with_its_remedy(name: str, operator: CloudOperator) -> None:
    operator.define("lab", **PIPELINES[name].settings)
    operator.expect_error("pipelines.", *PIPELINES[name].expected)


@pytest.mark.parametrize("command", ["up", "outputs", "destroy"])
def test_malformed_settings_file_is_not_a_wrong_passphrase(
    command: str, operator: CloudOperator
) -> None:
    file = operator.settings_file("lab")
    file.write_text(file.read_text() + "  image-pipeline:flavor: [\n")
    operator.expect_error(file.name, "line ", "column ", words=(command, "--stack", "lab"))


def test_all_bad_settings_are_named_at_once(operator: CloudOperator) -> None:
    operator.change("lab", operatorCidrs=["home"], databaseVolumeSize="big", protectData="maybe")
    printed = operator.checkout.pipeline(*UP, code=1).stderr
    assert len(printed.strip().splitlines()) == 3


def test_good_settings_pass_the_check(operator: CloudOperator) -> None:
    assert "No problems found" in operator.checkout.pipeline(*CHECK).stdout


def test_existing_bucket_must_be_adopted_or_renamed(operator: CloudOperator) -> None:
    operator.s3().create_bucket(Bucket="holiday")
    operator.define("lab", inputBucket="holiday")
    operator.expect_error("holiday", "exists already", "inputBucket", "adoptBuckets")
    operator.change("lab", adoptBuckets=["holiday"])
    operator.checkout.pipeline(*CHECK)


def test_bucket_of_another_user_must_be_renamed(operator: CloudOperator) -> None:
    theirs = boto3.client(
        "sts",
        endpoint_url=operator.s3().meta.endpoint_url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        region_name="us-east-1",
    ).assume_role(RoleArn="arn:aws:iam::222222222222:role/anna", RoleSessionName="anna")
    operator.s3(access=theirs["Credentials"]["AccessKeyId"]).create_bucket(Bucket="annas")
    operator.define("lab", outputBucket="annas")
    operator.expect_error("annas", "exists already", "outputBucket", "another name")
    operator.define("lab", outputBucket="annas-no-more")
    operator.checkout.pipeline(*CHECK)


def test_network_must_be_named_if_there_are_several(operator: CloudOperator) -> None:
    neutron = operator.openstack().network
    made = neutron.create_network(name="other")
    subnet = neutron.create_subnet(network_id=made.id, ip_version=4, cidr="10.1.0.0/24")
    [router] = neutron.routers()
    neutron.add_interface_to_router(router, subnet=subnet.id)
    operator.expect_error("network is missing", "other, project_local")
    operator.change("lab", network="project_local")
    operator.checkout.pipeline(*CHECK)
    neutron.delete_network(made)


QUOTAS = {
    "network": ("/quotas/{}", "quota"),
    "compute": ("/os-quota-sets/{}", "quota_set"),
    "database": ("/mgmt/quotas/{}", "quotas"),
}


@pytest.mark.parametrize(
    ("service", "limit", "expected"),
    [
        ("network", {"floatingip": 0}, "floating IPs: 0 of 0"),
        ("compute", {"cores": 0}, "cores: 0 of 0"),
        ("compute", {"instances": 0}, "instances: 0 of 0"),
        ("database", {"instances": 0}, "database instances: 0 of 0"),
        ("database", {"volumes": 0}, "GiB of database volumes: 0 of 0"),
    ],
)
def test_exhausted_quota_is_found(
    service: str, limit: dict[str, int], expected: str, operator: CloudOperator
) -> None:
    cloud, (path, key) = operator.openstack(), QUOTAS[service]
    adapter, project = getattr(cloud, service), cloud.session.get_project_id()
    adapter.put(path.format(project), json={key: limit})
    operator.expect_error(
        "The quota of cloud 'local' is too small", expected, "ask the cloud's support"
    )
    adapter.put(path.format(project), json={key: dict.fromkeys(limit, 9)})
    operator.checkout.pipeline(*CHECK)


def test_unknown_stack_is_refused(operator: CloudOperator) -> None:
    operator.expect_error(
        "'lap'", "known: lab", "./pipeline init lap", words=("up", "--stack", "lap")
    )


def test_nothing_was_created(operator: CloudOperator) -> None:
    cloud = operator.openstack()
    assert list(cloud.compute.servers()) == list(cloud.network.ips()) == []
