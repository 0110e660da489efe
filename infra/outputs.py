"""The stack's outputs: what `./pipeline` and its users need to know of a stack that is up."""

from typing import Any

import pulumi

from infra.buckets import Buckets
from infra.database import AnyDatabase
from infra.machines import Machines
from infra.network import Network
from infra.settings.models import Settings


def export(
    settings: Settings,
    buckets: Buckets,
    database: AnyDatabase,
    network: Network,
    machines: Machines,
) -> None:
    """Export them; keys and passwords are secret."""
    login = f"ssh {settings.machine.user}@"
    outputs: dict[str, Any] = {
        "inputBucket": buckets.names["input"],
        "outputBucket": buckets.names["output"],
        "quarantineBucket": buckets.names["quarantine"],
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
    }
    for name, value in outputs.items():
        pulumi.export(name, value)
