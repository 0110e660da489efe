"""What the tests of bad input share: how a command is refused, and the store it is about."""

from typing import Any

import boto3

from tests.engine.researcher import Researcher

UP = ("up", "--stack", "lab")
CHECK = ("init", "lab", "--check")


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
