"""The pipeline: settings -> components -> outputs. Pulumi runs it, for every stack."""

import os

import pulumi

from infra import clouds, outputs
from infra.buckets import Buckets, Pipeline
from infra.database import make_database
from infra.interfaces import Interfaces
from infra.machines import Machines
from infra.network import Network
from infra.settings.load import load

stack = load(os.environ)
compute, database_cloud = clouds.look_up(stack)
on_openstack = pulumi.ResourceOptions(providers=[clouds.make_provider(stack, compute)])

# The floating IP comes first: only that and, for further machines, the router's address may reach
# the database. Machines come last, with all they need to know in their user-data.
network = Network(stack, compute, on_openstack)
buckets = Buckets(stack, compute, on_openstack)
pipelines = [Pipeline(name, stack, compute, buckets, on_openstack) for name in stack.pipelines]
database = make_database(stack, database_cloud, [network.address, *network.routers])
interfaces = Interfaces(stack, network.address, buckets.access)
machines = Machines(
    stack, network, buckets, pipelines, database, interfaces=interfaces, opts=on_openstack
)

outputs.export(
    stack, buckets, pipelines, database, network=network, machines=machines, interfaces=interfaces
)
