"""Settings as the program uses them; `_named` gives the name that Pulumi.yaml declares."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from infra.names import MOST_MACHINES, Names
from infra.settings.fields import (
    Boolean,
    BucketName,
    Certificate,
    DatabaseRanges,
    OperatorRanges,
    PrivateKey,
    PublicKey,
    Text,
    list_of_texts,
    one_of,
    text,
    whole_number,
)
from infra.settings.interfaces import Interfaces
from infra.settings.pipelines import Pipeline

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_ENTRY = "the name of an entry in your clouds.yaml"
_URL = (r"https?://[A-Za-z0-9.\-\[\]:]+/?", "the store's address without a path, https://a3s.fi")
_DATABASE = (
    r"(?!postgres$)[a-z_][a-z0-9_]{0,62}",
    "up to 63 of a-z, 0-9 and _, not a digit first, and not postgres",
)
_VERSION = (r"[0-9A-Za-z.\-_]+", "a major version such as 17 or a name the cloud has")
_HOST = (r"[A-Za-z0-9.\-:]+", "a name or an address, without a port")
_ROLE = (r"[A-Za-z_][A-Za-z0-9_]{0,62}", "a name such as db_admin or worker")
_LOGIN = (r"[a-z_][a-z0-9_-]*", "ubuntu")
_INTERVAL = (r"[1-9]\d*(ms|s|min|h)", "a whole number and ms, s, min or h, for example 1s")


def _named(setting: str, *, secret: bool = False) -> Any:
    """A field that is the setting of this name; a secret is not in the model's repr."""
    return Field(alias=setting, repr=not secret)


class Section(BaseModel):
    """Part of the settings; reads its own names from all that the stack sets."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ComputeCloud(Section):
    """The entry of clouds.yaml for network and machine, and its region ("" = the only one)."""

    entry: Annotated[str, text(_ENTRY)] = _named("computeCloud")
    region: Text = _named("computeRegion")


class DatabaseCloud(Section):
    """The entry of clouds.yaml for the database, and its region ("" = the only one)."""

    entry: Text = _named("databaseCloud")
    region: Text = _named("databaseRegion")


class Store(Section):
    """Where the buckets are and what they are called ("" = the default)."""

    kind: Annotated[str, one_of("openstack", "aws", "existing")] = _named("objectStore")
    endpoint: Annotated[str, text("", *_URL)] = _named("objectStoreEndpoint")
    region: Text = _named("objectStoreRegion")
    access_key: Text = _named("s3AccessKey", secret=True)
    secret_key: Text = _named("s3SecretKey", secret=True)
    quarantine: BucketName = _named("quarantineBucket")
    adopted: Annotated[tuple[str, ...], list_of_texts("adoptBuckets")] = _named("adoptBuckets")

    def adopts(self, bucket: str) -> bool:
        """Return whether the stack uses a bucket that it did not create."""
        return self.kind == "existing" or bucket in self.adopted


class Database(Section):
    """The database; volume in GiB, wait in minutes, certificates as PEM text."""

    kind: Annotated[str, one_of("trove", "existing")] = _named("database")
    name: Annotated[str, text("a name such as pipeline_db", *_DATABASE)] = _named("databaseName")
    version: Annotated[str, text("a PostgreSQL version, for example 17", *_VERSION)] = _named(
        "databaseVersion"
    )
    flavor: Annotated[str, text("a flavor of the database cloud")] = _named("databaseFlavor")
    volume: Annotated[int, whole_number(1, 10_000)] = _named("databaseVolumeSize")
    cidrs: Annotated[DatabaseRanges, list_of_texts("databaseCidrs")] = _named("databaseCidrs")
    wait_minutes: Annotated[int, whole_number(1, 24 * 60)] = _named("databaseWaitMinutes")
    sslmode: Annotated[str, one_of(*SSL_MODES)] = _named("databaseSslMode")
    root_cert: Certificate = _named("databaseSslRootCert")
    makes_certificates: Boolean = _named("databaseClientCertificates")
    client_cert: Certificate = _named("databaseSslCert")
    client_key: PrivateKey = _named("databaseSslKey", secret=True)
    admin_cert: Certificate = _named("databaseAdminSslCert")
    admin_key: PrivateKey = _named("databaseAdminSslKey", secret=True)

    @property
    def has_client_certificates(self) -> bool:
        """Whether both users log in with client certificates."""
        return self.makes_certificates or bool(self.client_cert)


class ExistingDatabase(Section):
    """A PostgreSQL that exists: where it is, the user that owns it, and the worker's."""

    host: Annotated[
        str, text("the existing database's host, as the machine reaches it", *_HOST)
    ] = _named("databaseHost")
    port: Annotated[int, whole_number(1, 65535)] = _named("databasePort")
    admin: Annotated[str, text("a user of the existing database", *_ROLE)] = _named("databaseAdmin")
    user: Annotated[str, text("a user of the existing database", *_ROLE)] = _named("databaseUser")
    admin_password: Text = _named("databaseAdminPassword", secret=True)
    user_password: Text = _named("databaseUserPassword", secret=True)


class Machine(Section):
    """The machines, all alike, their networks and who may log in."""

    count: Annotated[int, whole_number(1, MOST_MACHINES)] = _named("machines")
    image: Annotated[str, text("the name of an image, for example Ubuntu-24.04")] = _named("image")
    flavor: Annotated[str, text("a flavor's name, for example standard.tiny")] = _named("flavor")
    network: Text = _named("network")
    external_network: Annotated[str, text("the network of floating IPs")] = _named(
        "externalNetwork"
    )
    operator_cidrs: Annotated[OperatorRanges, list_of_texts("operatorCidrs")] = _named(
        "operatorCidrs"
    )
    public_key: PublicKey = _named("sshPublicKeyFile")
    user: Annotated[str, text("the image's login", *_LOGIN)] = _named("sshUser")


class Settings(Section):
    """Everything a stack can set. `prefix` begins the name of every resource."""

    prefix: str
    compute: ComputeCloud
    database_cloud: DatabaseCloud
    store: Store
    database: Database
    existing_database: ExistingDatabase | None
    machine: Machine
    pipelines: Mapping[str, Pipeline]
    interfaces: Interfaces
    interval: Annotated[str, text("the pause between two passes, for example 1s", *_INTERVAL)] = (
        _named("timerInterval")
    )
    grace: Annotated[int, whole_number(0, 3600)] = _named("graceSeconds")
    protect_data: Boolean = _named("protectData")
    deleted: Annotated[tuple[str, ...], list_of_texts("deletePipelineData")] = _named(
        "deletePipelineData"
    )
    secrets: Mapping[str, str] = Field(default={}, repr=False)  # that pipelines name

    @property
    def names(self) -> Names:
        """Names of the stack's resources."""
        return Names(self.prefix)

    def buckets(self, project_id: str) -> dict[tuple[str, str], str]:
        """Return (pipeline, role) -> bucket name: the chosen one, else the default.

        The pipeline is "" for the buckets that all share: quarantine, and archive if inputs are
        kept.
        """
        names, store = self.names, self.store
        found = {("", "quarantine"): store.quarantine or names.bucket("quarantine", project_id)}
        if any(each.keep_inputs for each in self.pipelines.values()):
            found["", "archive"] = names.bucket("archive", project_id)
        for name, each in self.pipelines.items():
            for role, chosen in (("input", each.input_bucket), ("output", each.output_bucket)):
                found[name, role] = chosen or names.pipeline_bucket(name, role, project_id)
        return found
