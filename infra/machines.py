"""The machine that runs the worker."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_openstack as openstack

from clients import archive
from infra.buckets import Buckets
from infra.database import AnyDatabase
from infra.interfaces import Interfaces
from infra.network import Network
from infra.pipeline import Pipeline
from infra.settings.models import Settings
from infra.user_data import document
from infra.user_data.worker_settings import worker_toml


class Machines(pulumi.ComponentResource):
    """A VM on the network's port, with the floating IP; `names` as the cloud has them."""

    names: list[pulumi.Output[str]]

    def __init__(
        self,
        settings: Settings,
        network: Network,
        buckets: Buckets,
        pipelines: Sequence[Pipeline],
        database: AnyDatabase,
        *,
        interfaces: Interfaces,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("pipeline:infra:Machines", "machines", None, opts)
        machine, names = settings.machine, settings.names
        key = openstack.compute.Keypair(
            "operator-key",
            name=names.keypair,
            public_key=machine.public_key,
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        vm = openstack.compute.Instance(
            "vm",
            name=names.machine,
            image_name=machine.image,
            flavor_name=machine.flavor,
            key_pair=key.name,
            networks=[openstack.compute.InstanceNetworkArgs(port=network.port_id)],
            user_data=_user_data(settings, buckets, pipelines, database, interfaces),
            # One that was shut off at the cloud is started by the next `up`.
            power_state="active",
            opts=pulumi.ResourceOptions(
                parent=self,
                # A port is attached to one VM at a time.
                delete_before_replace=True,
                # Destroy removes the machine before its buckets are emptied.
                depends_on=[
                    *buckets.contents,
                    *(one for each in pipelines for one in each.contents),
                    *network.rules,
                ],
                # Clouds delete old images; a VM that is up does not need them any more.
                ignore_changes=["imageName", "imageId"],
                additional_secret_outputs=["userData"],
            ),
        )
        openstack.networking.FloatingIpAssociate(
            "floating-ip-on-port",
            floating_ip=network.address,
            port_id=network.port_id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[vm]),
        )
        self.names = [vm.name]
        self.register_outputs({"names": self.names})


def _user_data(
    settings: Settings,
    buckets: Buckets,
    pipelines: Sequence[Pipeline],
    database: AnyDatabase,
    interfaces: Interfaces,
) -> pulumi.Output[str]:
    """Return packed user-data, made of the other resources' outputs; all of it is secret."""
    source, pieces = archive.bootstrap(), document.templates()
    users = {"admin": database.admin, "user": database.user}

    def pack(known: Mapping[str, Any]) -> str:
        toml = worker_toml(
            settings,
            store={"endpoint": buckets.access.endpoint, **known["shared"]},
            database={"host": known["host"], "port": int(known["port"]), **users},
            buckets=known["buckets"],
            worker=buckets.worker,
            folders=buckets.folders,
        )
        return document.pack(
            document.document(
                source,
                pieces,
                interval=settings.interval,
                settings=toml,
                credentials=known["credentials"],
                secrets=settings.secrets,
                root_certificate=settings.database.root_cert,
            )
        )

    inputs: dict[str, Any] = {
        "shared": buckets.names,
        "buckets": {each.name: {"input": each.input, "output": each.output} for each in pipelines},
        "host": database.host,
        "port": database.port,
        "credentials": {
            **database.credentials,
            **interfaces.credentials,
            "s3-access-key": buckets.access.access_key,
            "s3-secret-key": buckets.access.secret_key,
        },
    }
    return pulumi.Output.secret(pulumi.Output.all(**inputs).apply(pack))
