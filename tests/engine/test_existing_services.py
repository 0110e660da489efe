"""An existing database and existing buckets: used as they are, and left as they were."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from local import postgres
from tests.checkout import open_folder
from tests.engine.cloud_operator import LOCALLY, CloudOperator, cloud_operator
from tests.eventually import eventually

STACK = ("--stack", "lab")
BUCKETS = {"input": "in-there", "output": "out-there", "quarantine": "refused-there"}
PASSWORDS = {"db_admin": "of-the-owner", "pipeline_worker": "of-the-worker"}


@pytest.fixture(scope="module")
def operator(pulumi: Path) -> Iterator[CloudOperator]:
    """An operator with an account on a cloud."""
    with open_folder() as folder, cloud_operator(folder, pulumi) as made:
        yield made


@pytest.fixture(scope="module")
def server(operator: CloudOperator) -> Iterator[postgres.PostgreSQL]:
    """A PostgreSQL of their own, with what docs/other-clouds.md says to make in it."""
    folder = operator.base / "own-database"
    made = postgres.start(folder)
    with psycopg.connect(made.dsn(), autocommit=True) as connection:
        for name, password in PASSWORDS.items():
            connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'".encode())
        connection.execute("CREATE DATABASE pipeline_db OWNER db_admin")
    yield made
    postgres.stop(folder)


@pytest.fixture(scope="module")
def store(operator: CloudOperator) -> dict[str, str]:
    """Three buckets of their own, and keys for them."""
    cloud = operator.openstack()
    path = f"/users/{cloud.session.get_user_id()}/credentials/OS-EC2"
    keys = cloud.identity.post(path, json={}).json()["credential"]
    endpoint = str(cloud.session.get_endpoint(service_type="object-store", interface="public"))
    found = {"endpoint": endpoint.split("/swift", maxsplit=1)[0], **keys}
    for bucket in BUCKETS.values():
        s3(found).create_bucket(Bucket=bucket)
    return found


def s3(store: dict[str, str]) -> Any:
    """A client of the store."""
    return boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        aws_access_key_id=store["access"],
        aws_secret_access_key=store["secret"],
        region_name="us-east-1",
    )


def rows(server: postgres.PostgreSQL) -> list[Any]:
    """The names in the view log_records, queried as the database's owner."""
    access = {"host": server.host, "port": server.port, "dbname": "pipeline_db"}
    with psycopg.connect(user="db_admin", password=PASSWORDS["db_admin"], **access) as connection:  # type: ignore[arg-type]
        return connection.execute("SELECT negated_image_name FROM pipeline.log_records").fetchall()


def test_secrets_are_set_with_pulumi_config(
    operator: CloudOperator, server: postgres.PostgreSQL, store: dict[str, str]
) -> None:
    settings = {
        "database": "existing",
        "databaseHost": server.host,
        "databasePort": server.port,
        "objectStore": "existing",
        "objectStoreEndpoint": store["endpoint"],
    }
    flags = [word for role, name in BUCKETS.items() for word in (f"--{role}-bucket", name)]
    flags += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    printed = operator.checkout.pipeline("init", "lab", *LOCALLY, *flags, code=1).stderr
    secrets = {
        "databaseAdminPassword": PASSWORDS["db_admin"],
        "databaseUserPassword": PASSWORDS["pipeline_worker"],
        "s3AccessKey": store["access"],
        "s3SecretKey": store["secret"],
    }
    pulumi = 'eval "$(./pipeline env --stack lab)" && '
    first = "pulumi stack select --create lab && "
    for name, value in secrets.items():
        assert f"{name} is missing" in printed
        subprocess.run(
            ["/bin/sh", "-c", pulumi + first + f"pulumi config set --stack lab --secret {name}"],
            cwd=operator.checkout.folder,
            env=operator.checkout.environment,
            input=value,
            text=True,
            check=True,
        )
        first = ""
    text = operator.settings_file("lab").read_text()
    assert not any(value in text for value in secrets.values())
    assert "No problems found" in operator.checkout.pipeline("init", "lab", "--check").stdout


def test_existing_services_are_used_and_kept(
    operator: CloudOperator, server: postgres.PostgreSQL, store: dict[str, str]
) -> None:
    printed = operator.checkout.pipeline("up", *STACK).stderr
    assert "created  Container" not in printed
    assert "Trove" not in printed
    operator.checkout.pipeline("put", "samples/cat.jpg", *STACK)
    done = eventually(lambda: s3(store).list_objects_v2(Bucket=BUCKETS["output"]).get("Contents"))
    eventually(lambda: rows(server) == [("negated_cat.jpg",)])
    operator.checkout.pipeline("destroy", "--data", "--yes", *STACK)
    assert rows(server) == [("negated_cat.jpg",)]
    assert s3(store).list_objects_v2(Bucket=BUCKETS["output"])["Contents"] == done
