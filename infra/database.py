"""The database: a PostgreSQL instance on the database cloud, open to the machines only."""

from collections.abc import Sequence

import pulumi

from infra.clouds import DATASTORE, DatabaseCloud
from infra.providers.certificates import ClientCertificatesProvider
from infra.providers.database import TroveInstanceProvider, TroveReadyProvider
from infra.providers.dynamic import ProvidedResource
from infra.settings.models import Database as DatabaseSettings
from infra.settings.models import ExistingDatabase, Settings

ADMIN, USER = "db_admin", "pipeline_worker"


class TroveInstance(ProvidedResource, name="TroveInstance"):
    """A PostgreSQL instance with one database and two users."""

    provider = TroveInstanceProvider
    secret_outputs = ("admin_password", "user_password")
    admin_password: pulumi.Output[str]
    user_password: pulumi.Output[str]


class TroveReady(ProvidedResource, name="TroveReady"):
    """The wait until an instance can be used."""

    provider = TroveReadyProvider
    further_outputs = ("public_ip", "port")
    public_ip: pulumi.Output[str]
    port: pulumi.Output[int]


class ClientCertificates(ProvidedResource, name="ClientCertificates"):
    """Certificates with which both users log in."""

    provider = ClientCertificatesProvider
    further_outputs = ("trusted",)
    secret_outputs = ("certificate", "admin_certificate", "authorities")
    trusted: pulumi.Output[str]
    certificate: pulumi.Output[str]
    admin_certificate: pulumi.Output[str]


class Database(pulumi.ComponentResource):
    """An instance and the wait for it: `host` and `port` are known once it can be used."""

    admin, user = ADMIN, USER
    client_ca: pulumi.Output[str] | None = None

    def __init__(
        self,
        settings: Settings,
        cloud: DatabaseCloud,
        machines: Sequence[pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("pipeline:infra:Database", "database", None, opts)
        wanted, passwords = settings.database, settings.interfaces.rotation.passwords
        cidrs = pulumi.Output.all(*machines).apply(lambda found: allowed(found, wanted.cidrs))
        where = {"cloud": cloud.entry, "region": cloud.region}
        instance = TroveInstance(
            "database-instance",
            {
                **where,
                "name": settings.names.database,
                "flavor_id": cloud.flavor_id,
                "volume": wanted.volume,
                "datastore": DATASTORE,
                "version": cloud.version,
                "database": wanted.name,
                "admin": ADMIN,
                "user": USER,
                "allowed_cidrs": cidrs,
                "password_round": passwords,
                "guarded": settings.protect_data,
            },
            pulumi.ResourceOptions(parent=self, protect=settings.protect_data),
        )
        ready = TroveReady(
            "database-ready",
            {
                **where,
                "instance_id": instance.id,
                "allowed_cidrs": cidrs,
                "settled": f"{wanted.volume} GiB, {cloud.flavor_id}, {passwords}",
                "wait_minutes": wanted.wait_minutes,
            },
            pulumi.ResourceOptions(parent=self),
        )
        self.host, self.port = ready.public_ip, ready.port
        self.admin_password = instance.admin_password
        self.user_password = instance.user_password
        self.credentials = _credentials(wanted, self.admin_password, self.user_password)
        self.register_outputs({"host": self.host, "port": self.port})


class ExternalDatabase:
    """A PostgreSQL that the settings name: the stack creates, changes and deletes nothing of it."""

    def __init__(self, settings: Settings, existing: ExistingDatabase) -> None:
        self.admin, self.user = existing.admin, existing.user
        self.host = pulumi.Output.from_input(existing.host)
        self.port = pulumi.Output.from_input(existing.port)
        self.admin_password = pulumi.Output.secret(existing.admin_password)
        self.user_password = pulumi.Output.secret(existing.user_password)
        wanted = settings.database
        self.credentials = _credentials(wanted, self.admin_password, self.user_password)
        self.client_ca: pulumi.Output[str] | None = None
        if wanted.makes_certificates:
            made = ClientCertificates(
                "database-client-certificates",
                {
                    "user": self.user,
                    "admin": self.admin,
                    "rotation": settings.interfaces.rotation.passwords,
                },
            )
            self.client_ca = made.trusted
            self.credentials |= {
                "database-certificate": made.certificate,
                "database-admin-certificate": made.admin_certificate,
            }


AnyDatabase = Database | ExternalDatabase


def make_database(
    settings: Settings, cloud: DatabaseCloud | None, machines: Sequence[pulumi.Input[str]]
) -> AnyDatabase:
    """Return the database that Trove makes, open to these addresses, or that of the settings."""
    if settings.existing_database:
        return ExternalDatabase(settings, settings.existing_database)
    assert cloud is not None  # noqa: S101 - looked up where the database is to be made
    return Database(settings, cloud, machines)


def allowed(machines: Sequence[str], cidrs: Sequence[str]) -> list[str]:
    """Return the ranges that may reach the database: machines' and the settings', once each."""
    return list(dict.fromkeys([*(f"{address}/32" for address in machines), *cidrs]))


def _credentials(
    wanted: DatabaseSettings, admin_password: pulumi.Output[str], user_password: pulumi.Output[str]
) -> dict[str, pulumi.Input[str]]:
    """Return credential -> text, "" where there is none: the units load all of them."""
    own = wanted.client_cert + wanted.client_key
    return {
        "database-admin-password": admin_password,
        "database-password": user_password,
        "database-admin-certificate": wanted.admin_cert + wanted.admin_key or own,
        "database-certificate": own,
    }
