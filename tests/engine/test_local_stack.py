"""The local stack through the real engine: up, photos, changes, damage, repair, destroy."""

import configparser
import json
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
import yaml
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from PIL import Image, ImageChops

from tests.checkout import Checkout
from tests.engine.browser import signs_in
from tests.engine.secret_search import texts
from tests.eventually import eventually

# The access key is a name, not a secret: providers use it as the credential's id in the state.
SECRETS = ("s3SecretKey", "pageKey", "uploadToken", "databaseAdminPassword", "databaseUserPassword")
SAMPLES = ("cat.jpg", "coffee.png", "galaxies.jpg", "retina.tif", "rocket.jpg")


@pytest.fixture(scope="module")
def deployed(shared_checkout: Checkout) -> Iterator[Checkout]:
    """A deployed local stack that has processed the samples."""
    shared_checkout.pipeline("up")
    shared_checkout.await_tables()
    send(shared_checkout, *SAMPLES)
    yield shared_checkout


def send(checkout: Checkout, *names: str) -> None:
    """Put samples and wait until the ledger has a row for each."""
    before = len(checkout.json("log"))
    checkout.pipeline("put", "--again", *(f"samples/{name}" for name in names))
    eventually(lambda: len(checkout.json("log")) == before + len(names))


def outputs(checkout: Checkout) -> dict[str, Any]:
    """All outputs, secrets shown."""
    answer = checkout.pipeline("outputs", "--json", "--show-secrets")
    return dict(json.loads(answer.stdout))


def s3(checkout: Checkout) -> Any:
    """A client for the stack's store."""
    values = outputs(checkout)
    return boto3.client(
        "s3",
        endpoint_url=values["s3Endpoint"],
        aws_access_key_id=values["s3AccessKey"],
        aws_secret_access_key=values["s3SecretKey"],
        region_name="us-east-1",
    )


def machine_ids(checkout: Checkout) -> set[str]:
    """The ids of the VMs in the state."""
    return {r["id"] for r in resources(checkout) if r["type"].endswith("instance:Instance")}


def resources(checkout: Checkout) -> list[dict[str, Any]]:
    """The state's resources, read from the backend's own file."""
    file = checkout.folder / ".local/state/.pulumi/stacks/image-pipeline/local.json"
    return list(json.loads(file.read_text())["checkpoint"]["latest"]["resources"])


def change(checkout: Checkout, name: str, value: object) -> None:
    """Edit a setting as a person would."""
    file = checkout.folder / "Pulumi.local.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["config"][f"image-pipeline:{name}"] = value
    file.write_text(yaml.safe_dump(settings))


def test_photos_come_back_as_negatives(deployed: Checkout, tmp_path: Path) -> None:
    for name in SAMPLES:
        deployed.pipeline("get", name, "--folder", str(tmp_path))
        source = Image.open(deployed.folder / "samples" / name).convert("RGB")
        result = Image.open(tmp_path / f"negated_{name}").convert("RGB")
        difference = ImageChops.difference(ImageChops.invert(source), result)
        worst = 0 if name.endswith(".png") else 32
        assert max(high for _, high in difference.getextrema()) <= worst  # type: ignore[misc]


def test_query_of_the_tutorial(deployed: Checkout) -> None:
    values = outputs(deployed)
    with psycopg.connect(
        host=values["databaseHost"],
        port=values["databasePort"],
        dbname=values["databaseName"],
        user=values["databaseAdmin"],
        password=values["databaseAdminPassword"],
    ) as connection:
        rows = connection.execute(
            "select * from log_records where negated_image_name like '%cat%';"
        ).fetchall()
    [row] = rows
    assert (row[1], len(row[2])) == ("negated_cat.jpg", 64)


def test_status_has_an_empty_backlog(deployed: Checkout) -> None:
    answer = deployed.json("status")
    assert answer["backlog"]["count"] == 0
    assert answer["done"] >= len(SAMPLES)
    assert answer["machines"][0]["obstacle"] is None


def test_page_is_on_this_computer(deployed: Checkout) -> None:
    login = deployed.pipeline("web", "--print").stdout.strip()
    assert login.endswith(f"/login?key={outputs(deployed)['pageKey']}")
    assert signs_in(login)
    assert not signs_in(login[:-1])
    token = deployed.pipeline("web", "--token").stdout
    assert token == f"Authorization: Bearer {outputs(deployed)['uploadToken']}\n"


def test_preview_without_changes(deployed: Checkout) -> None:
    assert "No change." in deployed.pipeline("preview").stdout


def test_the_stacks_own_store_can_be_checked(deployed: Checkout) -> None:
    """The store, moto, accepts any key, so it is not safe for photos that others can reach."""
    answer = deployed.pipeline("check-store", "--stack", "local", "--json", code=1)
    found = json.loads(answer.stdout)
    assert "wrong-secret" in {finding["name"] for finding in found["findings"]}
    assert {each["result"] for each in found["checks"] if each["name"] == "versions"} == {"yes"}


def test_log_finds_by_name(deployed: Checkout) -> None:
    rows = deployed.json("log", "--like", "coffee")
    assert {row["output_key"] for row in rows} == {"negated_coffee.png"}


def test_log_is_limited_and_filtered(deployed: Checkout) -> None:
    every = deployed.json("log", "--last", "0")
    assert len(every) >= len(SAMPLES)
    assert deployed.json("log", "--last", "2") == every[-2:]
    assert deployed.json("log", "--since", every[0]["timestamp"]) == every
    assert deployed.json("log", "--since", "2999-01-01") == []
    assert deployed.json("log", "--quarantined") == []


def test_sql_reads_and_changes_nothing(deployed: Checkout) -> None:
    table = deployed.pipeline("sql", "select 1 as one, 'a[b]' as text, null as none").stdout
    assert table == "one  text  none\n1    a[b]\n"
    query = "select key, outcome from results where key like 'c%' order by key, created_at limit 1"
    rows = deployed.pipeline("sql", "--csv", query).stdout
    assert rows.splitlines() == ["key,outcome", "cat.jpg,done"]
    refused = deployed.pipeline("sql", "delete from results", code=1)
    assert len(refused.stderr.strip().splitlines()) == 1
    assert deployed.json("log")


def test_other_clients_use_the_printed_keys(deployed: Checkout, tmp_path: Path) -> None:
    bucket, endpoint = outputs(deployed)["outputBucket"], outputs(deployed)["s3Endpoint"]
    for client in ("rclone", "aws", "s3cmd"):
        printed = deployed.pipeline("keys", f"--{client}").stdout
        (tmp_path / client).write_text(printed)
    rclone = [f"{sysconfig.get_path('scripts')}/rclone", "--config", str(tmp_path / "rclone")]
    listed = subprocess.run(
        [*rclone, "lsf", f"image-pipeline-local:{bucket}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "negated_cat.jpg" in listed.stdout
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws"))
        aws = boto3.Session(profile_name="image-pipeline-local").client("s3")
        assert aws.head_object(Bucket=bucket, Key="negated_cat.jpg")["ContentLength"]
    s3cmd = configparser.ConfigParser(interpolation=None)
    s3cmd.read(tmp_path / "s3cmd")
    assert f"http://{s3cmd['default']['host_base']}" == endpoint
    assert s3cmd["default"]["use_https"] == "False"


def test_secrets_are_not_stored_or_shown_in_clear(deployed: Checkout) -> None:
    values = outputs(deployed)
    secrets = {values[name] for name in SECRETS}
    everything = "\n".join(texts(export(deployed, "--show-secrets")))
    assert all(value in everything for value in secrets)  # the search can find them
    local = deployed.folder / ".local"
    logs = [*local.rglob("*.log"), *local.glob("state/.pulumi/**/*.json")]
    places = {
        "state": "\n".join(texts(export(deployed))),
        "outputs": deployed.pipeline("outputs").stdout,
        "files": "".join(file.read_bytes().decode("latin-1") for file in logs),
        "processes": subprocess.run(
            ["ps", "axww"], capture_output=True, text=True, check=True
        ).stdout,
    }
    found = {place for place, text in places.items() if any(value in text for value in secrets)}
    assert found == set()


def export(checkout: Checkout, *words: str) -> Any:
    """The stack's state as `pulumi stack export` gives it."""
    local = checkout.folder / ".local"
    answer = subprocess.run(
        ["pulumi", "stack", "export", "--stack", "local", *words],
        cwd=local / "project",
        env={
            **checkout.environment,
            "PULUMI_HOME": str(local / "pulumi"),
            "PULUMI_BACKEND_URL": (local / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(local / "passphrase"),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


def test_operator_range_is_changed_in_place(deployed: Checkout) -> None:
    before = machine_ids(deployed)
    change(deployed, "operatorCidrs", ["127.0.0.2/32"])
    deployed.pipeline("up")
    assert machine_ids(deployed) == before


def test_database_range_is_changed_in_place(deployed: Checkout) -> None:
    before = machine_ids(deployed)
    change(deployed, "databaseCidrs", ["192.0.2.0/24"])
    printed = deployed.pipeline("up")
    assert "updated  TroveInstance" in printed.stdout + printed.stderr
    assert machine_ids(deployed) == before
    assert len(deployed.json("log")) >= len(SAMPLES)


def test_keys_and_passwords_are_rotated_alone(deployed: Checkout) -> None:
    old = outputs(deployed)
    answer = deployed.pipeline("rotate", "keys")
    assert "'./pipeline keys' prints" in answer.stdout + answer.stderr
    new = outputs(deployed)
    assert {name for name in old if old[name] != new[name]} == {
        *("s3AccessKey", "s3SecretKey", "uploadToken", "pageKey"),
    }
    cloud = openstack(deployed)
    kept = cloud.identity.get(f"/users/{cloud.session.get_user_id()}/credentials/OS-EC2").json()
    assert [each["access"] for each in kept["credentials"]] == [new["s3AccessKey"]]
    deployed.pipeline("rotate", "passwords")
    last = outputs(deployed)
    assert {name for name in last if last[name] != new[name]} == {
        *("databaseAdminPassword", "databaseUserPassword")
    }
    assert yaml.safe_load((deployed.folder / "pipelines.local.yaml").read_text()) == {
        "image-pipeline:rotation": {"keys": 2, "passwords": 2}
    }
    send(deployed, "cat.jpg")


def test_new_worker_replaces_the_machine_and_keeps_the_data(
    deployed: Checkout,
) -> None:
    before, rows = machine_ids(deployed), len(deployed.json("log"))
    code = deployed.folder / "worker" / "errors.py"
    code.write_text(code.read_text() + "\n# a new version\n")
    deployed.pipeline("up")
    assert not machine_ids(deployed) & before
    eventually(lambda: len(deployed.json("log")) == rows)
    send(deployed, "rocket.jpg")


def test_deleted_resources_are_recreated(deployed: Checkout) -> None:
    client, values = s3(deployed), outputs(deployed)
    before = machine_ids(deployed)
    # The quarantine bucket has the package that the next machine boots from.
    for bucket in (values["outputBucket"], values["quarantineBucket"]):
        for each in client.list_object_versions(Bucket=bucket)["Versions"]:
            client.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    client.delete_bucket(Bucket=values["outputBucket"])
    cloud = openstack(deployed)
    for machine in before:
        cloud.compute.delete_server(machine)
    for instance in cloud.database.get("/instances").json()["instances"]:
        cloud.database.delete(f"/instances/{instance['id']}")
    deployed.pipeline("refresh")
    deployed.pipeline("up")
    assert not machine_ids(deployed) & before
    assert "No change." in deployed.pipeline("preview").stdout
    send(deployed, "cat.jpg")


def openstack(checkout: Checkout) -> Connection:
    """The stack's cloud, reached by its clouds.yaml."""
    file = checkout.folder / ".local" / "cloud" / "clouds.yaml"
    return Connection(
        config=OpenStackConfig(load_envvars=False, config_files=[str(file)]).get_one("local")
    )


def test_destroy_of_protected_data_requires_data_option(deployed: Checkout) -> None:
    change(deployed, "protectData", value=True)
    deployed.pipeline("up")
    refused = deployed.pipeline("destroy", code=1)
    assert "protectData" in refused.stderr
    assert deployed.json("status")["done"] > 0
    deployed.pipeline("destroy", "--data")
    assert not (deployed.folder / ".local").exists()
