"""The resources that the real `__main__.py` requests from the engine."""

import ipaddress
import json
import sys
import tomllib
from pathlib import Path

import pytest

from clients.errors import CloudError, InfraError
from local.cloud import LocalCloud
from tests.unit.conftest import use_cloud
from tests.unit.program import CHECKOUT, FLOATING_IP, Run, run_program, written
from tests.unit.stack_settings import PUBLIC_KEY, stack_settings
from worker import settings as worker_settings

pytestmark = pytest.mark.usefixtures("clouds_yaml")

OPERATORS = ["192.0.2.7/32", "2001:db8::/48"]
SECRETS = ("unit-access-key", "unit-secret-key", "unit-admin-password", "unit-user-password")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("program")


@pytest.fixture(scope="module")
def run(local_cloud: LocalCloud, folder: Path) -> Run:
    settings = stack_settings(folder, operatorCidrs=OPERATORS, databaseCidrs=["198.51.100.0/24"])
    with pytest.MonkeyPatch.context() as environment:
        use_cloud(environment, local_cloud)
        return run_program(settings)


def test_every_resource_of_the_design(run: Run) -> None:
    kinds = sorted(asked.kind for asked in run.resources if asked.request.custom)
    assert kinds == sorted(
        ["openstack"]
        + ["FloatingIp", "SecGroup", "Port", "FloatingIpAssociate", "Keypair", "Instance"]
        + ["SecGroupRule"] * len(OPERATORS)
        + ["Ec2CredentialV3"]
        + ["BucketClaim", "Container", "BucketContents"] * 3
        + ["WorkerArchive"]
        + ["TroveInstance", "TroveReady"]
    )
    # The stack itself is registered once in a process, maybe by an earlier test.
    components = {asked.kind for asked in run.resources if not asked.request.custom} - {"Stack"}
    assert components == {"Network", "Buckets", "Pipeline", "Database", "Machines"}
    assert len(run.of("Pipeline")) == 1


def test_only_operators_reach_ssh(run: Run) -> None:
    rules = [asked.inputs for asked in run.of("SecGroupRule")]
    assert sorted(rule["remoteIpPrefix"] for rule in rules) == sorted(OPERATORS)
    for rule in rules:
        network = ipaddress.ip_network(rule["remoteIpPrefix"])
        assert network.prefixlen > 0
        assert rule["ethertype"] == f"IPv{network.version}"
        ports = (rule["direction"], rule["protocol"], rule["portRangeMin"], rule["portRangeMax"])
        assert ports == ("ingress", "tcp", 22, 22)
    assert run.one("SecGroup").inputs.get("deleteDefaultRules") is None  # egress stays
    assert run.one("Port").inputs["securityGroupIds"] == ["operators-id"]


@pytest.mark.parametrize(("cidrs", "more"), [([], []), (["198.51.100.0/24"], ["198.51.100.0/24"])])
def test_database_admits_the_machine_and_no_one_else(
    folder: Path, cidrs: list[str], more: list[str]
) -> None:
    run = run_program(stack_settings(folder, databaseCidrs=cidrs))
    allowed = [f"{FLOATING_IP}/32", *more]
    assert run.one("TroveInstance").inputs["allowed_cidrs"] == allowed
    assert run.one("TroveReady").inputs["allowed_cidrs"] == allowed


def test_floating_ip_then_database_then_machine(run: Run) -> None:
    order = [asked.name for asked in run.resources]
    wanted = ["floating-ip", "database-instance", "database-ready", "vm", "floating-ip-on-port"]
    assert [name for name in order if name in wanted] == wanted


def test_user_data_names_the_worker_archive(run: Run) -> None:
    archive = run.one("WorkerArchive").inputs
    values = tomllib.loads(written(run)["/etc/pipeline/worker.toml"])
    assert values["package"] == {"key": archive["key"], "sha256": archive["sha256"]}
    assert values["store"]["quarantine"] == archive["bucket"]
    assert "/opt/pipeline/source/worker/bootstrap.py" in written(run)


def test_user_data_carries_settings_and_timer(run: Run) -> None:
    files = written(run)
    assert "OnUnitInactiveSec=1s" in files["/etc/systemd/system/pipeline-worker@.timer"]
    settings = tomllib.loads(files["/etc/pipeline/worker.toml"])
    assert settings["database"]["host"] == "198.51.100.9"
    assert settings["database"]["port"] == 5432
    assert settings["pipelines"]["negatives"]["input"] == run.outputs["inputBucket"]
    assert settings["grace_seconds"] == 2
    assert settings["machine"] == run.outputs["machineNames"][0]
    credentials = {
        path.rpartition("/")[2]: text for path, text in files.items() if "credentials" in path
    }
    assert credentials == {
        "s3-access-key": "unit-access-key",
        "s3-secret-key": "unit-secret-key",
        "database-admin-password": "unit-admin-password",
        "database-password": "unit-user-password",
        "database-admin-certificate": "",
        "database-certificate": "",
    }


def read_by_worker(run: Run, folder: Path) -> worker_settings.Settings:
    """Return what the worker on the machine reads."""
    files = written(run)
    path = folder / "worker.toml"
    path.write_text(files["/etc/pipeline/worker.toml"], encoding="utf-8")
    (folder / "credentials").mkdir()
    for name, text in files.items():
        if name.startswith("/etc/pipeline/credentials/"):
            (folder / "credentials" / name.rpartition("/")[2]).write_text(text)
    names = [entry.name for entry in (folder / "credentials").iterdir() if entry.read_text()]
    assert len(names) == 4
    return worker_settings.load(path, {}, tuple(names))


def test_worker_accepts_the_settings_of_user_data(run: Run, tmp_path: Path) -> None:
    """Both sides agree: the worker's own settings accept what the program writes."""
    read = read_by_worker(run, tmp_path)
    assert list(read.pipelines) == ["negatives"]
    assert (read.pipelines["negatives"].transform, read.database.user) == (
        "negate",
        "pipeline_worker",
    )


def test_secrets_are_marked(run: Run) -> None:
    assert "userData" in run.one("Instance").secret
    assert "userData" in run.one("Instance").request.additionalSecretOutputs
    assert set(run.one("TroveInstance").request.additionalSecretOutputs) == {
        "admin_password",
        "user_password",
    }
    assert {"access", "secret"} <= set(run.one("Ec2CredentialV3").request.additionalSecretOutputs)
    for kind in ("BucketClaim", "BucketContents"):
        for asked in run.of(kind):
            assert {"access_key", "secret_key"} <= asked.secret
    assert run.secret_outputs == {
        "s3AccessKey",
        "s3SecretKey",
        "databaseAdminPassword",
        "databaseUserPassword",
        "pageKey",
        "uploadToken",
    }


def test_no_unmarked_input_contains_a_secret(run: Run) -> None:
    seen = 0
    for asked in run.resources:
        for name, value in asked.inputs.items():
            if any(secret in json.dumps(value) for secret in SECRETS):
                seen += 1
                assert name in asked.secret, f"{asked.name}.{name}"
    assert seen  # the search finds them where they are


def test_provider_holds_no_credential(run: Run) -> None:
    inputs = run.one("openstack").inputs
    assert set(inputs) <= {"cloud", "region", "version"}
    assert inputs["cloud"] == "local"
    for asked in run.resources:
        if asked.type.startswith("openstack:"):
            assert asked.request.provider.startswith("urn:pulumi:"), asked.name


def test_replacement_options(run: Run) -> None:
    vm = run.one("Instance").request
    assert vm.deleteBeforeReplace
    assert set(vm.ignoreChanges) == {"imageName", "imageId"}
    assert not run.one("FloatingIp").request.replaceOnChanges
    for container in run.of("Container"):
        assert list(container.request.replaceOnChanges) == ["name"]


def test_machine_that_was_shut_off_is_started(run: Run) -> None:
    assert run.one("Instance").inputs["powerState"] == "active"


def test_machine_is_deleted_before_its_buckets_are_purged(run: Run) -> None:
    urns = "\n".join(run.one("Instance").request.dependencies)
    for role in ("input", "output", "quarantine"):
        assert f"::{role}-contents" in urns


def test_claim_before_bucket_before_contents(run: Run) -> None:
    for bucket in run.of("Container"):
        role = bucket.name.partition("-")[0]
        assert any(urn.endswith(f"::{role}-claim") for urn in bucket.request.dependencies)
        assert bucket.inputs["forceDestroy"] is False
    for contents in run.of("BucketContents"):
        role = contents.name.partition("-")[0]
        assert any(urn.endswith(f"::{role}-bucket") for urn in contents.request.dependencies)
        assert contents.inputs["versions"] is (role != "quarantine")


@pytest.mark.parametrize("protect", [True, False])
def test_data_are_protected(folder: Path, protect: bool) -> None:
    run = run_program(stack_settings(folder, protectData=protect))
    guarded = {asked.kind for asked in run.resources if asked.request.protect}
    assert guarded == ({"TroveInstance", "Container", "BucketContents"} if protect else set())
    assert run.one("TroveInstance").inputs["guarded"] is protect


def test_names_contain_the_stack(folder: Path) -> None:
    values = stack_settings(folder)
    one, other = run_program(values, "one"), run_program(values, "Other.2")
    for run, stack in ((one, "one"), (other, "other-2")):
        for name in ("inputBucket", "outputBucket", "quarantineBucket"):
            assert run.outputs[name].startswith(f"image-pipeline-{stack}-")
    assert one.outputs["inputBucket"].rpartition("-")[2] == other.outputs["inputBucket"][-8:]
    assert one.one("TroveInstance").inputs["name"] == "image-pipeline-one-db"
    assert one.one("Keypair").inputs["publicKey"] == PUBLIC_KEY


def test_adopted_bucket_is_only_named(folder: Path) -> None:
    pipelines = {"negatives": {"transform": "negate", "inputBucket": "mine"}}
    run = run_program(stack_settings(folder, pipelines=pipelines, adoptBuckets=["mine"]))
    assert run.outputs["inputBucket"] == "mine"
    assert run.one("BucketAdoption").inputs["queue"] is True
    for kind in ("BucketClaim", "Container", "BucketContents"):
        assert "mine" not in [
            asked.inputs.get("bucket") or asked.inputs["name"] for asked in run.of(kind)
        ]
        assert len(run.of(kind)) == 2


def test_existing_store_creates_no_buckets_or_keys(folder: Path) -> None:
    keys = {"s3AccessKey": "unit-access-key", "s3SecretKey": "unit-secret-key"}
    negatives = {"transform": "negate", "inputBucket": "in-1", "outputBucket": "out-1"}
    run = run_program(
        stack_settings(
            folder,
            objectStore="existing",
            objectStoreEndpoint="https://s3.example.org",
            **keys,
            pipelines={"negatives": negatives},
            quarantineBucket="bad-1",
        )
    )
    assert len(run.of("BucketAdoption")) == 3
    for kind in ("Ec2CredentialV3", "Container", "BucketClaim", "BucketContents"):
        assert not run.of(kind)
    assert run.outputs["s3Endpoint"] == "https://s3.example.org"
    assert {"s3AccessKey", "s3SecretKey"} <= run.secret_outputs


MISSES = [
    ({"image": "Ubuntu-99"}, r"image is 'Ubuntu-99', not found.*available images: .*Ubuntu-24.04"),
    ({"flavor": "huge"}, r"flavor is 'huge', not found.*available flavors: .*standard\.tiny"),
    ({"externalNetwork": "pubic"}, r"externalNetwork is 'pubic', not found.*public"),
    ({"network": "lan"}, r"network is 'lan', not found.*available internal networks: "),
    ({"computeRegion": "north"}, r"computeRegion is 'north', not found.*RegionLocal"),
    ({"databaseRegion": "north"}, r"databaseRegion is 'north', not found.*RegionLocal"),
    ({"databaseFlavor": "huge"}, r"databaseFlavor is 'huge', not found.*standard\.small"),
    ({"databaseVersion": "9"}, r"databaseVersion is '9', not found.*available.* versions: .*17\."),
    ({"computeCloud": "lokal"}, r"no entry 'lokal'.*local"),
]


@pytest.mark.parametrize(("overrides", "sentence"), MISSES)
def test_typo_fails_at_the_look_up(
    folder: Path, overrides: dict[str, object], sentence: str
) -> None:
    with pytest.raises(CloudError, match=sentence):
        run_program(stack_settings(folder, **overrides))


def test_faults_of_both_clouds_are_reported_together(folder: Path) -> None:
    with pytest.raises(CloudError) as failure:
        run_program(stack_settings(folder, flavor="huge", databaseFlavor="huge"))
    assert len(str(failure.value).splitlines()) == 2


AWS = {
    "objectStore": "aws",
    "objectStoreEndpoint": "https://s3.eu-north-1.amazonaws.com",
    "objectStoreRegion": "eu-north-1",
    "s3AccessKey": "unit-access-key",
    "s3SecretKey": "unit-secret-key",
}


def test_missing_sdk_for_aws_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pulumi_aws", None)
    with pytest.raises(InfraError, match=r"objectStore is aws.* pip install --group aws"):
        run_program(stack_settings(folder, **AWS))


def test_requirements_have_the_openstack_sdk_only() -> None:
    """Bare `pulumi` downloads the provider of each SDK that is installed."""
    pins = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    sdks = {pin.partition("==")[0] for pin in pins if pin.startswith("pulumi-")}
    assert sdks == {"pulumi-openstack"}


def test_buckets_on_aws(folder: Path) -> None:
    run = run_program(stack_settings(folder, **AWS))
    assert len(run.of("Bucket")) == 3
    assert not run.of("Container")
    provider = run.one("aws")
    assert {"accessKey", "secretKey"} <= provider.secret
    for bucket in run.of("Bucket"):
        assert "object-store" in bucket.request.provider
        assert bucket.request.protect
        assert bucket.inputs["forceDestroy"] is False
    assert written(run)["/etc/pipeline/worker.toml"].count("eu-north-1") == 2
