"""An operator with a cloud: a copy of the project, a home of their own, an account on a cloud.

The cloud is the local one, reached as any other: through a clouds.yaml. Its provider plugin is in
the PULUMI_HOME of the operator's `pulumi`, as the real one would be after a download.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from openstack.config import OpenStackConfig
from openstack.connection import Connection

from local.cloud import LocalCloud
from tests.checkout import Checkout, environment, prepare_folders
from tests.operator import Operator, make_key

#: What a local cloud needs beside what a real one does: its PostgreSQL has no TLS.
LOCALLY = ("--set", "databaseSslMode=disable", "--set", "timerInterval=1s")
#: Commands about the stack `lab`.
UP = ("up", "--stack", "lab")
CHECK = ("init", "lab", "--check")


@dataclass(frozen=True)
class CloudOperator(Operator):
    """An operator whose cloud is the local one."""

    cloud: LocalCloud

    def openstack(self) -> Connection:
        """Return a connection to the cloud by its clouds.yaml."""
        file = str(self.cloud.clouds_yaml)
        return Connection(
            config=OpenStackConfig(load_envvars=False, config_files=[file]).get_one("local")
        )

    def expect_error(self, *texts: str, words: tuple[str, ...] = UP) -> None:
        """Run a command that must fail; one line of its message must have all of `texts`."""
        self.expect_errors(texts, words=words)

    def expect_errors(self, *each_texts: Sequence[str], words: tuple[str, ...] = UP) -> None:
        """Run a command that must fail; of each texts, one line of its message must have all."""
        answer = self.checkout.pipeline(*words, code=None)
        assert answer.returncode != 0, answer.stdout + answer.stderr
        lines = answer.stderr.strip().splitlines()
        for texts in each_texts:
            found = any(all(text in line for text in texts) for line in lines)
            assert found, f"{texts} is missing in:\n{answer.stderr}"

    def s3(self, access: str = "") -> Any:
        """Return a client of the cloud's object store, with new keys of its user.

        Args:
            access: Another access key, with the new secret.
        """
        cloud = self.openstack()
        user = cloud.session.get_user_id()
        response = cloud.identity.post(f"/users/{user}/credentials/OS-EC2", json={})
        keys = response.json()["credential"]
        endpoint = str(cloud.session.get_endpoint(service_type="object-store", interface="public"))
        return boto3.client(
            "s3",
            endpoint_url=endpoint.split("/swift", maxsplit=1)[0],
            aws_access_key_id=access or keys["access"],
            aws_secret_access_key=keys["secret"],
            region_name="us-east-1",
        )


@contextmanager
def cloud_operator(base: Path, pulumi: Path) -> Iterator[CloudOperator]:
    """An operator with everything below `base`; the cloud is stopped at the end."""
    folder, home, temporary = prepare_folders(base)
    make_key(home / ".ssh" / "id_ed25519")
    cloud = LocalCloud(base / "cloud")
    cloud.install_plugin(base / "pulumi")
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    checkout = Checkout(
        folder, environment(home, temporary, PATH=path, PULUMI_HOME=str(base / "pulumi"))
    )
    made = CloudOperator(base, checkout, cloud)
    try:
        cloud.start()
        made.clouds_yaml.parent.mkdir(parents=True)
        made.clouds_yaml.write_text(cloud.clouds_yaml.read_text())
        checkout.environment["OS_CLIENT_CONFIG_FILE"] = str(made.clouds_yaml)
        yield made
    finally:
        cloud.stop()
