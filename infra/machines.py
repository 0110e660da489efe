"""The machines that run the worker."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pulumi
import pulumi_openstack as openstack

from clients import archive
from infra.buckets import Buckets, Pipeline
from infra.database import AnyDatabase
from infra.interfaces import Interfaces
from infra.names import numbered
from infra.network import Network
from infra.settings.models import Settings
from infra.user_data import document
from infra.user_data.worker_settings import worker_toml


class Machines(pulumi.ComponentResource):
    """A VM on each port of the network, the first with the floating IP.

    Attributes:
        names: As the cloud has them, the first one first.
    """

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
        vm_options = pulumi.ResourceOptions(
            parent=self,
            # A port is attached to one VM at a time.
            delete_before_replace=True,
            # Destroy removes the machines before their buckets are emptied.
            depends_on=[
                *buckets.contents,
                *(one for each in pipelines for one in each.contents),
                *network.rules,
            ],
            # Clouds delete old images; a VM that is up does not need them any more.
            ignore_changes=["imageName", "imageId"],
            additional_secret_outputs=["userData"],
        )
        packed = _user_data(settings, buckets, pipelines, database, interfaces)
        vms = [
            openstack.compute.Instance(
                numbered("vm", number),
                name=names.machine(number),
                image_name=machine.image,
                flavor_name=machine.flavor,
                key_pair=key.name,
                networks=[openstack.compute.InstanceNetworkArgs(port=port.id)],
                user_data=user_data,
                # One that was shut off at the cloud is started by the next `up`.
                power_state="active",
                # One that is taken away ends its jobs instead of letting their leases expire.
                stop_before_destroy=True if number > 1 else None,
                opts=vm_options,
            )
            for number, (port, user_data) in enumerate(zip(network.ports, packed, strict=True), 1)
        ]
        openstack.networking.FloatingIpAssociate(
            "floating-ip-on-port",
            floating_ip=network.address,
            port_id=network.ports[0].id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=vms[:1]),
        )
        self.names = [vm.name for vm in vms]
        self.register_outputs({"names": self.names})


def _user_data(
    settings: Settings,
    buckets: Buckets,
    pipelines: Sequence[Pipeline],
    database: AnyDatabase,
    interfaces: Interfaces,
) -> list[pulumi.Output[str]]:
    """Return each machine's packed user-data, made of other resources' outputs; all is secret."""
    source, pieces = archive.bootstrap(), document.templates()
    users = {"admin": database.admin, "user": database.user}

    def pack(known: Mapping[str, Any], number: int) -> str:
        toml = worker_toml(
            settings,
            number,
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
                credentials=known["credentials"] | (known["ways_in"] if number == 1 else {}),
                secrets=settings.secrets,
                root_certificate=settings.database.root_cert,
            )
        )

    known = pulumi.Output.all(
        shared=buckets.names,
        buckets={each.name: {"input": each.input, "output": each.output} for each in pipelines},
        host=database.host,
        port=database.port,
        credentials={
            **database.credentials,
            "s3-access-key": buckets.access.access_key,
            "s3-secret-key": buckets.access.secret_key,
        },
        ways_in=interfaces.credentials,
    )
    numbers = range(1, settings.machine.count + 1)
    return [pulumi.Output.secret(known.apply(partial(pack, number=each))) for each in numbers]
