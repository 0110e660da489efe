"""Settings: what is read, and one sentence for each thing that is wrong."""

import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest
from pulumi.runtime import set_all_config

from clients.certificates import issue
from infra.errors import InvalidSettings
from infra.settings.declared import defaults as declared_defaults
from infra.settings.load import load, parse
from infra.settings.models import Settings
from tests.unit.program import use_mocks
from tests.unit.stack_settings import PROJECT, PUBLIC_KEY, stack_settings


def settings_of(values: dict[str, str]) -> Settings:
    return parse(values, "image-pipeline-unit")


def faults_of(values: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as refusal:
        settings_of(values)
    return list(refusal.value.sentences)


def test_good_settings(tmp_path: Path) -> None:
    settings = settings_of(
        stack_settings(tmp_path, databaseCidrs=["192.0.2.0/24"], databaseVolumeSize=3)
    )
    assert settings.compute.entry == "local"
    assert settings.machine.operator_cidrs == ("127.0.0.1/32",)
    assert settings.database.cidrs == ("192.0.2.0/24",)
    assert settings.database.volume == 3
    assert settings.protect_data is True


def test_defaults_are_careful() -> None:
    """Data is protected and the database connection encrypted unless set otherwise."""
    defaults = declared_defaults()
    assert defaults["protectData"] == "true"
    assert defaults["databaseSslMode"] == "require"
    assert defaults["operatorCidrs"] == "[]"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    settings = settings_of(stack_settings(tmp_path, s3AccessKey="AKIDX", s3SecretKey="hush-9"))
    assert settings.store.secret_key == "hush-9"
    assert "hush-9" not in repr(settings)
    assert "AKIDX" not in repr(settings)


BAD: list[tuple[dict[str, object], str, str]] = [
    ({"computeCloud": ""}, "computeCloud is missing", "clouds.yaml"),
    ({"databaseCloud": " "}, "databaseCloud is missing", "clouds.yaml"),
    ({"timerInterval": "soon"}, "timerInterval is 'soon'", "for example 1s"),
    ({"timerInterval": "0s"}, "timerInterval is '0s'", "for example 1s"),
    ({"timerInterval": "5s\nExecStart=x"}, "timerInterval is", "for example 1s"),
    ({"graceSeconds": "-1"}, "graceSeconds is '-1'", "from 0 to 3600"),
    ({"operatorCidrs": []}, "operatorCidrs is missing", "192.0.2.7/32"),
    ({"operatorCidrs": "1.2.3.4/32"}, "operatorCidrs is '1.2.3.4/32', not a list", "list"),
    ({"operatorCidrs": [7]}, "operatorCidrs is '[7]', not a list of texts", "list"),
    ({"operatorCidrs": ["0.0.0.0/0"]}, "'0.0.0.0/0'", "your own address"),
    ({"operatorCidrs": ["::/0"]}, "'::/0'", "your own address"),
    ({"operatorCidrs": ["128.0.0.0/1"]}, "'128.0.0.0/1'", "your own address"),
    ({"operatorCidrs": ["home"]}, "'home', which is not a CIDR range", "192.0.2.7/32"),
    ({"operatorCidrs": ["192.0.2.7/24"]}, "'192.0.2.7/24'", "write 192.0.2.0/24"),
    ({"operatorCidrs": ["192.0.2.7"]}, "without a mask", "192.0.2.7/32"),
    ({"operatorCidrs": ["192.0.2.7/32"] * 2}, "twice", "once"),
    ({"databaseCidrs": ["192.0.0.0/21"]}, "'192.0.0.0/21'", "/22"),
    ({"databaseCidrs": ["0.0.0.0/0"]}, "'0.0.0.0/0'", "narrower"),
    ({"databaseCidrs": ["2001:db8::/64"]}, "'2001:db8::/64'", "IPv4"),
    ({"sshPublicKeyFile": ""}, "sshPublicKeyFile is missing", ".pub"),
    ({"sshPublicKeyFile": "/nonexistent/key.pub"}, "/nonexistent/key.pub", "No such file"),
    ({"sshUser": "root; rm"}, "sshUser is 'root; rm'", "ubuntu"),
    ({"objectStore": "s3"}, "objectStore is 's3'", "openstack, aws, existing"),
    ({"objectStoreEndpoint": "a3s.fi"}, "objectStoreEndpoint is 'a3s.fi'", "https://a3s.fi"),
    ({"objectStoreEndpoint": "https://a3s.fi/x"}, "objectStoreEndpoint is", "without a path"),
    ({"s3AccessKey": "a"}, "s3SecretKey is missing", "set both"),
    ({"s3SecretKey": "b"}, "s3AccessKey is missing", "set both"),
    ({"objectStore": "aws"}, "objectStoreEndpoint is missing", "https://"),
    ({"objectStore": "aws"}, "objectStoreRegion is missing", "eu-north-1"),
    ({"objectStore": "existing"}, "s3AccessKey is missing", "--secret"),
    ({"objectStore": "existing"}, "pipelines.negatives.inputBucket is missing", "existing"),
    ({"quarantineBucket": "Photos"}, "quarantineBucket is 'Photos'", "a-z"),
    ({"adoptBuckets": ["photos"]}, "adoptBuckets has 'photos'", "not a bucket of this stack"),
    ({"machines": 0}, "machines is '0'", "from 1 to 50"),
    ({"machines": 51}, "machines is '51'", "from 1 to 50"),
    ({"machines": "1.5"}, "machines is '1.5'", "whole number"),
    ({"machines": [2]}, "machines is '[2]'", "whole number"),
    ({"deletePipelineData": [{"a": 1}]}, "deletePipelineData is", "not a list of texts"),
    ({"deletePipelineData": ["negatives"]}, "deletePipelineData has 'negatives'", "remove it"),
    ({"pipelines": "negate"}, "pipelines is 'negate'", "write a map"),
    ({"databaseName": ""}, "databaseName is missing", "pipeline_db"),
    ({"databaseName": "Robert'); DROP"}, "databaseName is", "a-z"),
    ({"databaseName": "postgres"}, "databaseName is 'postgres'", "not postgres"),
    ({"databaseVolumeSize": "big"}, "databaseVolumeSize is 'big'", "whole number"),
    ({"databaseVolumeSize": 0}, "databaseVolumeSize is '0'", "from 1"),
    ({"rotation": "1.5"}, "rotation is '1.5'", "whole number"),
    ({"rotation": 0}, "rotation is '0'", "1"),
    ({"databaseSslMode": "yes"}, "databaseSslMode is 'yes'", "verify-full"),
    ({"databaseSslMode": "verify-full"}, "databaseSslRootCert is missing", "verify-full"),
    ({"databaseSslRootCert": "/nonexistent/ca"}, "databaseSslRootCert names", "No such file"),
    ({"protectData": "maybe"}, "protectData is 'maybe'", "true or false"),
]


@pytest.mark.parametrize(("overrides", "thing", "remedy"), BAD)
def test_bad_setting(tmp_path: Path, overrides: dict[str, object], thing: str, remedy: str) -> None:
    errors = faults_of(stack_settings(tmp_path, **overrides))
    matching = [sentence for sentence in errors if thing in sentence]
    assert matching, errors
    assert remedy in matching[0]
    assert "\n" not in matching[0]


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    errors = faults_of(
        stack_settings(tmp_path, computeCloud="", databaseVolumeSize="x", protectData="x")
    )
    assert len(errors) == 3


def test_private_key_is_refused(tmp_path: Path) -> None:
    private = tmp_path / "id"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", encoding="utf-8")
    errors = faults_of(stack_settings(tmp_path, sshPublicKeyFile=str(private)))
    assert len(errors) == 1
    assert "a private key" in errors[0]


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "ssh-ed25519 AAAA", PUBLIC_KEY + "\n" + PUBLIC_KEY),
        *(PUBLIC_KEY[: len("ssh-ed25519 ") + size] for size in (20, 48, 64)),
    ],
)
def test_invalid_public_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "id.pub"
    path.write_text(text, encoding="utf-8")
    errors = faults_of(stack_settings(tmp_path, sshPublicKeyFile=str(path)))
    assert len(errors) == 1
    assert "does not hold a single public key" in errors[0]


EXISTING = {
    "database": "existing",
    "databaseHost": "192.0.2.1",
    "databaseAdminPassword": "a",
    "databaseUserPassword": "b",
    "databaseSslMode": "require",
}
CERTIFICATES = [
    (
        {"databaseSslCert": "client.pem"},
        "databaseSslCert and databaseSslKey go together: set both, or neither.",
    ),
    (
        {"databaseAdminSslCert": "client.pem", "databaseAdminSslKey": "client.pem"},
        "databaseSslCert is missing: set it too, since databaseAdminSslCert is set.",
    ),
    (
        {
            "databaseSslCert": "client.pem",
            "databaseSslKey": "client.pem",
            "databaseClientCertificates": "true",
        },
        "databaseClientCertificates is true and databaseSslCert is set: choose one of them.",
    ),
    (
        {"databaseClientCertificates": "true", "database": "trove"},
        "databaseClientCertificates is true, but the database service supports no client"
        " certificates: set it to false, or database to existing.",
    ),
    (
        {"databaseClientCertificates": "true", "databaseSslMode": "prefer"},
        "databaseSslMode is 'prefer', which may connect without TLS, and client certificates need"
        " it: set it to require, verify-ca or verify-full.",
    ),
    (
        {"databaseUserPassword": ""},
        "databaseUserPassword is missing: set it to the password of databaseUser, with `--secret`.",
    ),
    (
        {"databaseSslRootCert": "id_ed25519.pub"},
        "databaseSslRootCert names id_ed25519.pub, which contains no certificate: name a PEM file.",
    ),
    (
        {"databaseSslCert": "client.pem", "databaseSslKey": "locked.pem"},
        "databaseSslKey names locked.pem, which contains no private key without a passphrase: name"
        " a PEM file.",
    ),
]


@pytest.mark.parametrize(("overrides", "sentence"), CERTIFICATES)
def test_bad_client_certificates(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    overrides: dict[str, object],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("client.pem").write_text(issue("somebody"))
    begin, end = (f"-----{word} ENCRYPTED PRIVATE KEY-----\n" for word in ("BEGIN", "END"))
    Path("locked.pem").write_text(f"{begin}MAA=\n{end}")
    assert faults_of(stack_settings(tmp_path, **(EXISTING | overrides))) == [sentence]


def test_passwords_are_optional_beside_client_certificates(tmp_path: Path) -> None:
    overrides = {"databaseAdminPassword": "", "databaseUserPassword": ""}
    values = EXISTING | overrides | {"databaseClientCertificates": "true"}
    assert settings_of(stack_settings(tmp_path, **values)).database.has_client_certificates


@pytest.mark.parametrize("name", ["databasePasswordRound", "s3KeyRound"])
def test_rounds_of_earlier_releases_are_refused(tmp_path: Path, name: str) -> None:
    values = {**stack_settings(tmp_path), name: "2"}
    with pytest.raises(InvalidSettings, match=f"{name} was replaced by rotation, .* set rotation"):
        load_stack(values, {})


def load_stack(
    values: dict[str, str],
    environment: dict[str, str],
    secret: Sequence[str] = (),
    **more: str,
) -> Settings:
    use_mocks()
    set_all_config(
        {**{f"{PROJECT}:{name}": value for name, value in values.items()}, **more},
        [f"{PROJECT}:{name}" for name in secret],
    )
    return load(environment)


def test_openstack_variables_are_refused(tmp_path: Path) -> None:
    good = stack_settings(tmp_path)
    with pytest.raises(InvalidSettings, match=r"sets OS_AUTH_URL, OS_REGION_NAME.*unset them"):
        load_stack(good, {"OS_REGION_NAME": "x", "OS_AUTH_URL": "y", "HOME": "/"})
    assert load_stack(good, {"OS_CLIENT_CONFIG_FILE": "z"}).prefix == "image-pipeline-unit"


def test_misspelt_setting_gets_a_suggestion(tmp_path: Path) -> None:
    values = {**stack_settings(tmp_path), "databseCidrs": "[]"}
    with pytest.raises(InvalidSettings, match=r"databseCidrs is not a setting.*databaseCidrs"):
        load_stack(values, {})


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("image_pipeline:flavor", "write image-pipeline:flavor"),
        ("openstack:region", "only image-pipeline: is read"),
        ("flavor:image", "write image-pipeline:image"),
    ],
)
def test_setting_of_a_wrong_namespace_is_refused(tmp_path: Path, key: str, remedy: str) -> None:
    """The engine would ignore it silently."""
    values = stack_settings(tmp_path)
    with pytest.raises(InvalidSettings, match=f"{key} is not a setting.*{remedy}"):
        load_stack(values, {}, **{key: "x"})
    assert load_stack(values, {}, **{"pulumi:tags": "x"}).machine.flavor == "standard.tiny"


def test_fault_of_a_range_names_its_index(tmp_path: Path) -> None:
    values = stack_settings(tmp_path, operatorCidrs=["192.0.2.7/32", "home", "0.0.0.0/0"])
    paths = [sentence.partition(" ")[0] for sentence in faults_of(values)]
    assert paths == ["operatorCidrs[1]", "operatorCidrs[2]"]


def test_faults_of_values_and_of_rules_are_reported_together(tmp_path: Path) -> None:
    values = stack_settings(tmp_path, objectStore="aws", rotation="x", pipelines=["negate"])
    named = {sentence.partition(" ")[0] for sentence in faults_of(values)}
    assert named == {
        "objectStoreEndpoint",
        "objectStoreRegion",
        "s3AccessKey",
        "s3SecretKey",
        "rotation",
        "pipelines",
    }


def test_faults_do_not_show_secrets(tmp_path: Path) -> None:
    values = stack_settings(tmp_path, s3AccessKey="AKIDX", s3SecretKey="hush-9", flavor="")
    with pytest.raises(InvalidSettings) as refusal:
        settings_of(values)
    assert "hush-9" not in "".join(traceback.format_exception(refusal.value))
