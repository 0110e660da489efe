"""A researcher with a cloud: a copy of the project, a home of their own, an account on a cloud.

The cloud is the local one, reached as any other: through a clouds.yaml. Its provider plugin lies in
the PULUMI_HOME that the researcher's `pulumi` uses, as the real one would after a download.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from openstack.config import OpenStackConfig
from openstack.connection import Connection

from local.cloud import LocalCloud
from tests.checkout import Checkout, environment, settle
from tests.person import Person, make_key

#: What a local cloud needs beside what a real one does: its PostgreSQL has no TLS.
LOCALLY = ("--set", "databaseSslMode=disable", "--set", "timerInterval=1s")


@dataclass(frozen=True)
class Researcher(Person):
    """A person whose cloud is the local one."""

    cloud: LocalCloud

    def openstack(self) -> Connection:
        """The cloud, as anybody with its clouds.yaml reaches it."""
        file = str(self.cloud.clouds_yaml)
        return Connection(
            config=OpenStackConfig(load_envvars=False, config_files=[file]).get_one("local")
        )


@contextmanager
def researcher(base: Path, pulumi: Path) -> Iterator[Researcher]:
    """All of it below `base`, and nothing left of it."""
    folder, home, temporary = settle(base)
    make_key(home / ".ssh" / "id_ed25519")
    cloud = LocalCloud(base / "cloud")
    cloud.install_plugin(base / "pulumi")
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    checkout = Checkout(
        folder, environment(home, temporary, PATH=path, PULUMI_HOME=str(base / "pulumi"))
    )
    made = Researcher(base, checkout, cloud)
    try:
        cloud.start()
        made.clouds_yaml.parent.mkdir(parents=True)
        made.clouds_yaml.write_text(cloud.clouds_yaml.read_text())
        checkout.environment["OS_CLIENT_CONFIG_FILE"] = str(made.clouds_yaml)  # type: ignore[index]
        yield made
    finally:
        cloud.stop()
