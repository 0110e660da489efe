"""The machine that runs the worker."""

import pulumi
import pulumi_openstack as openstack

from infra.boot import packed_user_data
from infra.buckets import Buckets
from infra.database import AnyDatabase
from infra.network import Network
from infra.settings import Settings


class Machines(pulumi.ComponentResource):
    """A VM on the network's port with the floating IP; `names` as the cloud has them."""

    names: list[pulumi.Output[str]]

    def __init__(
        self,
        settings: Settings,
        network: Network,
        buckets: Buckets,
        database: AnyDatabase,
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
            user_data=packed_user_data(settings, names.machine, buckets, database),
            opts=pulumi.ResourceOptions(
                parent=self,
                # A port is held by one VM at a time.
                delete_before_replace=True,
                # Destroy removes the machine before its buckets are emptied.
                depends_on=[*buckets.contents, *network.rules],
                # Clouds delete old images; a VM that is up needs them no more.
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
