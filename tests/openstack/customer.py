"""A customer of both clouds: a project of their own in each, and a checkout as a person has it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.checkout import Checkout, environment, prepare_folders
from tests.openstack.services import configuration, entries
from tests.openstack.services.stack import OpenStack
from tests.operator import Operator, make_key

if TYPE_CHECKING:
    from openstack.connection import Connection

ROLES = ("member", "reader")
#: As cPouta gives a new project.
FLOATING_IPS = 2
NETWORK = "inside"
INIT = ("--compute-cloud", "pouta", "--database-cloud", "pukki")


@dataclass(frozen=True)
class Customer(Operator):
    """A person with an account on real OpenStack."""

    cloud: OpenStack
    account: Path  # a clouds.yaml that tests do not change

    def pouta(self) -> "Connection":
        """Machines, networks and buckets, as the customer reaches them."""
        return entries.connect(self.account, entries.COMPUTE)

    def pukki(self) -> "Connection":
        """Databases, as the customer reaches them."""
        return entries.connect(self.account, entries.DATABASE)

    def quota(self, **floating_ips_and_more: int) -> None:
        """Change what the network service grants."""
        with self.cloud.admin() as admin, self.pouta() as pouta:
            admin.network.update_quota(str(pouta.current_project_id), **floating_ips_and_more)


@contextmanager
def customer(base: Path, pulumi: Path, cloud: OpenStack, name: str) -> Iterator[Customer]:
    """An account `name` in both clouds, and a checkout below `base`."""
    folder, home, temporary = prepare_folders(base)
    make_key(home / ".ssh" / "id_ed25519")
    account = base / "account.yaml"
    account.write_text(_account(cloud, name))
    path = os.pathsep.join([str(pulumi / "bin"), os.environ["PATH"]])
    found = environment(home, temporary, PATH=path, PULUMI_HOME=str(base / "pulumi"))
    made = Customer(base, Checkout(folder, found), cloud, account)
    made.clouds_yaml.parent.mkdir(parents=True)
    made.clouds_yaml.write_text(account.read_text())
    found["OS_CLIENT_CONFIG_FILE"] = str(made.clouds_yaml)
    yield made


@contextmanager
def in_catalog(cloud: OpenStack, endpoint: str) -> Iterator[None]:
    """The object store of pouta is the gateway at `endpoint`."""
    with cloud.admin() as admin:
        identity: Any = admin.identity
        service = identity.create_service(name="rgw", type="object-store")
        identity.create_endpoint(
            service_id=service.id,
            interface="public",
            region_id=configuration.REGION,
            url=f"{endpoint}/swift/v1/AUTH_$(project_id)s",
        )
        yield
        identity.delete_service(service)


def _account(cloud: OpenStack, name: str) -> str:
    """Open it; its clouds.yaml."""
    content = json.loads(cloud.clouds_yaml.read_text())
    for entry, described in content["clouds"].items():
        with cloud.admin(entry) as admin:
            project = _project(admin, name, cloud.layout.passwords.tenant)
            if entry == entries.COMPUTE:
                _network(admin, project)
        described["auth"] |= {"username": name, "project_name": name}
    return json.dumps(content)


def _project(admin: "Connection", name: str, password: str) -> str:
    identity: Any = admin.identity
    project = identity.create_project(name=name, domain_id="default")
    user = identity.create_user(name=name, password=password, domain_id="default")
    for role in identity.roles():
        if role.name in ROLES:
            identity.assign_project_role_to_user(project, user, role)
    return str(project.id)


def _network(admin: "Connection", project: str) -> None:
    """One with a router, as cPouta gives a new project."""
    external = admin.network.find_network("public", ignore_missing=False)
    network: Any = admin.network.create_network(name=NETWORK, project_id=project)
    subnet = admin.network.create_subnet(
        network_id=network.id, ip_version=4, cidr="192.168.7.0/24", project_id=project
    )
    router = admin.network.create_router(
        name=NETWORK, project_id=project, external_gateway_info={"network_id": external.id}
    )
    admin.network.add_interface_to_router(router, subnet=subnet.id)
    admin.network.update_quota(project, floating_ips=FLOATING_IPS)
