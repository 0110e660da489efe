"""What the machine boots with: user-data made of the other resources' outputs. All of it secret."""

from collections.abc import Mapping
from typing import Any

import pulumi

from infra.buckets import Buckets
from infra.database import AnyDatabase
from infra.errors import Refusal
from infra.settings import Settings
from infra.user_data import archive as worker_archive
from infra.user_data import document as user_data
from infra.user_data.worker_settings import certificates, worker_toml


def packed_user_data(
    settings: Settings, machine: str, buckets: Buckets, database: AnyDatabase
) -> pulumi.Output[str]:
    """Packed user-data of the machine called `machine`."""
    source, pieces = worker_archive.bootstrap(), user_data.templates()

    def pack(known: Mapping[str, Any]) -> str:
        toml = worker_toml(
            settings,
            machine=machine,
            endpoint=buckets.access.endpoint,
            buckets=known["buckets"],
            archive=buckets.worker,
            host=known["host"],
            port=int(known["port"]),
            admin=database.admin,
            user=database.user,
        )
        document = user_data.document(
            source,
            pieces,
            interval=settings.interval,
            settings=toml,
            credentials=known["credentials"],
            certificates=certificates(settings.database),
        )
        try:
            return user_data.pack(document)
        except user_data.UserDataTooLargeError as error:
            raise Refusal(str(error)) from None

    inputs: dict[str, Any] = {
        "buckets": buckets.names,
        "host": database.host,
        "port": database.port,
        "credentials": {
            "database-admin-password": database.admin_password,
            "database-password": database.user_password,
            "s3-access-key": buckets.access.access_key,
            "s3-secret-key": buckets.access.secret_key,
        },
    }
    return pulumi.Output.secret(pulumi.Output.all(**inputs).apply(pack))
