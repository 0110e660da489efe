"""The stack's outputs: what `./pipeline` and its users need to know of a stack that is up."""

from collections.abc import Sequence
from typing import Any

import pulumi

from infra.buckets import Buckets, Pipeline
from infra.database import AnyDatabase
from infra.interfaces import Interfaces
from infra.machines import Machines
from infra.names import FIRST_PIPELINE
from infra.network import Network
from infra.settings.models import Settings
from infra.settings.pipelines import definition


def export(
    settings: Settings,
    buckets: Buckets,
    pipelines: Sequence[Pipeline],
    database: AnyDatabase,
    *,
    interfaces: Interfaces,
    network: Network,
    machines: Machines,
) -> None:
    """Export them; keys and passwords are secret."""
    login = f"ssh {settings.machine.user}@"
    first = next((each for each in pipelines if each.name == FIRST_PIPELINE), pipelines[0])
    outputs: dict[str, Any] = {
        "inputBucket": first.input,
        "outputBucket": first.output,
        "quarantineBucket": buckets.names["quarantine"],
        "pipelines": {each.name: _pipeline(settings, each, buckets) for each in pipelines},
        "s3Endpoint": buckets.access.endpoint,
        "s3Region": settings.store.region,
        "s3AccessKey": buckets.access.access_key,
        "s3SecretKey": buckets.access.secret_key,
        "databaseHost": database.host,
        "databasePort": database.port,
        "databaseName": settings.database.name,
        "databaseAdmin": database.admin,
        "databaseAdminPassword": pulumi.Output.secret(database.admin_password),
        "databaseUser": database.user,
        "databaseUserPassword": pulumi.Output.secret(database.user_password),
        "floatingIp": network.address,
        "sshCommand": pulumi.Output.concat(login, network.address),
        "machineNames": machines.names,
        "machineAddresses": network.addresses,
        **interfaces.outputs,
    }
    if database.client_ca is not None:
        outputs["databaseClientCa"] = database.client_ca
    if network.routers:
        outputs["routerAddresses"] = network.routers
    if "archive" in buckets.names:
        outputs["archiveBucket"] = buckets.names["archive"]
    for name, value in outputs.items():
        pulumi.export(name, value)


def _pipeline(settings: Settings, pipeline: Pipeline, buckets: Buckets) -> dict[str, Any]:
    """Return what clients need to know of a pipeline; its parameters may be secret."""
    defined, folder = settings.pipelines[pipeline.name], buckets.folders.get(pipeline.name)
    key = buckets.access.secret_key
    compared = key.apply(lambda text: definition(defined, folder.sha256 if folder else "", text))
    return {
        "transform": defined.transform,
        "inputBucket": pipeline.input,
        "outputBucket": pipeline.output,
        "outputKey": defined.output_key,
        "from": list(defined.sources),
        "definition": pulumi.Output.unsecret(compared),
    }
