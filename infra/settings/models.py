"""Settings as the program uses them. An alias is the name of the setting in Pulumi.yaml."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from infra.names import Names
from infra.settings.fields import (
    Boolean,
    BucketName,
    DatabaseRange,
    FileText,
    OperatorRange,
    PublicKey,
    Text,
    list_of_texts,
    matching,
    one_of,
    required,
    whole_number,
)
from worker.transforms import TransformName

DATABASES = ("trove", "existing")
STORES = ("openstack", "aws", "existing")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_ENTRY = "the name of an entry in your clouds.yaml"
_ROLE = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
_ROUND = whole_number(1, 1_000_000)
#: For secrets: not in an object's repr, which a log could show.
_HIDDEN = Field(repr=False)


class Section(BaseModel):
    """Part of the settings; reads its own names from all that the stack sets."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ComputeCloud(Section):
    """The entry of clouds.yaml for network and machine, and its region ("" = the only one)."""

    entry: Annotated[str, required(_ENTRY)] = Field(alias="computeCloud")
    region: Text = Field(alias="computeRegion")


class DatabaseCloud(Section):
    """The entry of clouds.yaml for the database, and its region ("" = the only one)."""

    entry: Text = Field(alias="databaseCloud")
    region: Text = Field(alias="databaseRegion")


class Store(Section):
    """Where the buckets are and what they are called ("" = a default made later)."""

    kind: Annotated[str, one_of(*STORES)] = Field(alias="objectStore")
    endpoint: Annotated[
        str,
        matching(
            r"https?://[A-Za-z0-9.\-\[\]:]+/?",
            "the store's address without a path, for example https://a3s.fi",
        ),
    ] = Field(alias="objectStoreEndpoint")
    region: Text = Field(alias="objectStoreRegion")
    access_key: Text = Field(alias="s3AccessKey", repr=False)
    secret_key: Text = Field(alias="s3SecretKey", repr=False)
    key_round: Annotated[int, _ROUND] = Field(alias="s3KeyRound")
    input: BucketName = Field(alias="inputBucket")
    output: BucketName = Field(alias="outputBucket")
    quarantine: BucketName = Field(alias="quarantineBucket")
    adopted: Annotated[tuple[str, ...], list_of_texts("adoptBuckets")] = Field(alias="adoptBuckets")

    @property
    def chosen(self) -> dict[str, str]:
        """Role -> bucket name, "" where the settings leave it to the default."""
        return {"input": self.input, "output": self.output, "quarantine": self.quarantine}


class Database(Section):
    """The database; volume in GiB, wait in minutes, certificates as PEM text."""

    kind: Annotated[str, one_of(*DATABASES)] = Field(alias="database")
    name: Annotated[
        str,
        matching(
            r"(?!postgres$)[a-z_][a-z0-9_]{0,62}",
            "up to 63 of a-z, 0-9 and _, not a digit first, and not postgres",
        ),
        required("a name for the database, for example pipeline_db"),
    ] = Field(alias="databaseName")
    version: Annotated[
        str,
        matching(r"[0-9A-Za-z.\-_]+", "a major version such as 17 or a name the cloud has"),
        required("a PostgreSQL version, for example 17"),
    ] = Field(alias="databaseVersion")
    flavor: Annotated[str, required("a flavor of the database cloud")] = Field(
        alias="databaseFlavor"
    )
    volume: Annotated[int, whole_number(1, 10_000)] = Field(alias="databaseVolumeSize")
    cidrs: Annotated[tuple[DatabaseRange, ...], list_of_texts("databaseCidrs")] = Field(
        alias="databaseCidrs"
    )
    password_round: Annotated[int, _ROUND] = Field(alias="databasePasswordRound")
    wait_minutes: Annotated[int, whole_number(1, 24 * 60)] = Field(alias="databaseWaitMinutes")
    sslmode: Annotated[str, one_of(*SSL_MODES)] = Field(alias="databaseSslMode")
    root_cert: FileText = Field(alias="databaseSslRootCert")
    client_cert: FileText = Field(alias="databaseSslCert")
    client_key: FileText = Field(alias="databaseSslKey", repr=False)


class ExistingDatabase(Section):
    """A PostgreSQL that exists: where it is, the user that owns it, and the worker's."""

    host: Annotated[
        str,
        matching(r"[A-Za-z0-9.\-:]+", "a name or an address, without a port"),
        required("the existing database's host, as the machine reaches it"),
    ] = Field(alias="databaseHost")
    port: Annotated[int, whole_number(1, 65535)] = Field(alias="databasePort")
    admin: Annotated[
        str,
        matching(_ROLE, "a name such as db_admin"),
        required("a user of the existing database"),
    ] = Field(alias="databaseAdmin")
    user: Annotated[
        str,
        matching(_ROLE, "a name such as worker"),
        required("a user of the existing database"),
    ] = Field(alias="databaseUser")
    admin_password: Annotated[
        str, required("the password of databaseAdmin, with `--secret`"), _HIDDEN
    ] = Field(alias="databaseAdminPassword")
    user_password: Annotated[
        str, required("the password of databaseUser, with `--secret`"), _HIDDEN
    ] = Field(alias="databaseUserPassword")


class Machine(Section):
    """The machine, its networks and who may log in."""

    image: Annotated[str, required("the name of an image, for example Ubuntu-24.04")] = Field(
        alias="image"
    )
    flavor: Annotated[str, required("the name of a flavor, for example standard.tiny")] = Field(
        alias="flavor"
    )
    network: Text = Field(alias="network")
    external_network: Annotated[str, required("the network of floating IPs")] = Field(
        alias="externalNetwork"
    )
    operator_cidrs: Annotated[tuple[OperatorRange, ...], list_of_texts("operatorCidrs")] = Field(
        alias="operatorCidrs"
    )
    public_key: PublicKey = Field(alias="sshPublicKeyFile")
    user: Annotated[
        str, matching(r"[a-z_][a-z0-9_-]*", "ubuntu"), required("the image's login")
    ] = Field(alias="sshUser")


class Worker(Section):
    """What the worker does, and how often it looks for work."""

    transform: Annotated[str, one_of(*TransformName)] = Field(alias="transform")
    interval: Annotated[
        str,
        matching(r"[1-9]\d*(ms|s|min|h)", "a whole number and ms, s, min or h, for example 1s"),
        required("the pause between two passes, for example 1s"),
    ] = Field(alias="timerInterval")


class Protection(Section):
    """Whether database and buckets are kept from being deleted."""

    protect_data: Boolean = Field(alias="protectData")


class Settings(BaseModel):
    """Everything a stack can set. `prefix` begins the name of every resource."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    prefix: str
    compute: ComputeCloud
    database_cloud: DatabaseCloud
    worker: Worker
    store: Store
    database: Database
    existing_database: ExistingDatabase | None
    machine: Machine
    protection: Protection

    @property
    def names(self) -> Names:
        """Names of the stack's resources."""
        return Names(self.prefix)

    @property
    def protect_data(self) -> bool:
        """Whether database and buckets are kept from being deleted."""
        return self.protection.protect_data
