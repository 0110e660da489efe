"""What the tests of bad input share: somebody with a stack that is not up, and what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.engine.conftest import open_folder
from tests.engine.researcher import LOCALLY, Researcher, researcher

UP = ("up", "--stack", "lab")
CHECK = ("init", "lab", "--check")


@contextmanager
def with_a_stack(pulumi: Path) -> Iterator[Researcher]:
    """Somebody with a stack `lab` that is not up yet."""
    with open_folder() as folder, researcher(folder, pulumi) as made:
        made.checkout.pipeline("init", "lab", *LOCALLY)
        (folder / "home" / "secret").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        yield made


@contextmanager
def undone(person: Researcher) -> Iterator[None]:
    """Whatever is done to the person's files and environment is undone."""
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
