"""The stack's settings: read once, typed, and every bad value named, all of them at once."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

import pulumi
from pulumi.runtime.config import CONFIG, get_config, get_config_env

from infra import existing_database
from infra.errors import SettingsError
from infra.existing_database import Existing
from infra.names import Names
from infra.reader import Network, Reader, declared
from worker.transforms import TransformName

PROJECT_FILE = Path(__file__).resolve().parent.parent / "Pulumi.yaml"
DATABASES = ("trove", "existing")
STORES = ("openstack", "aws", "existing")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
#: Pukki refuses wider ranges; a database open to thousands of addresses is a mistake anyway.
WIDEST_DATABASE_PREFIX = 22
#: By IP version; 0.0.0.0/1 and 128.0.0.0/1 are everybody too.
WIDEST_OPERATOR_PREFIX = {4: 8, 6: 19}
#: The only OS_* variable that selects a file instead of filling gaps of both clouds' entries.
HARMLESS_VARIABLES = frozenset({"OS_CLIENT_CONFIG_FILE"})


@dataclass(frozen=True)
class Cloud:
    """An entry of clouds.yaml, and the region in it ("" = the only one)."""

    entry: str
    region: str


@dataclass(frozen=True)
class Store:
    """Where the buckets are and what they are called ("" = a default made later)."""

    kind: str
    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    key_round: int
    input: str
    output: str
    quarantine: str
    adopted: tuple[str, ...]

    @property
    def chosen(self) -> dict[str, str]:
        """Role -> bucket name, "" where the settings leave it to the default."""
        return {"input": self.input, "output": self.output, "quarantine": self.quarantine}


@dataclass(frozen=True)
class Database:
    """The database instance; volume in GiB, wait in minutes, certificates as PEM text."""

    name: str
    version: str
    flavor: str
    volume: int
    cidrs: tuple[str, ...]
    password_round: int
    wait_minutes: int
    sslmode: str
    root_cert: str
    client_cert: str
    client_key: str = field(repr=False)


@dataclass(frozen=True)
class Machine:
    """The machine, its networks and who may log in."""

    image: str
    flavor: str
    network: str
    external_network: str
    operator_cidrs: tuple[str, ...]
    public_key: str
    user: str


@dataclass(frozen=True)
class Settings:
    """Everything a stack can set. `prefix` begins the name of every resource."""

    prefix: str
    compute: Cloud
    database_cloud: Cloud
    transform: str
    interval: str
    store: Store
    database: Database
    existing_database: Existing | None
    machine: Machine
    protect_data: bool

    @property
    def names(self) -> Names:
        """Names of the stack's resources."""
        return Names(self.prefix)


def load(environment: Mapping[str, str]) -> Settings:
    """The settings of the running stack; raises SettingsError with one sentence for each fault."""
    defaults = declared(PROJECT_FILE)
    project = pulumi.get_project()
    values = {}
    for name, default in defaults.items():
        value = get_config(f"{project}:{name}")
        values[name] = default if value is None else str(value)
    reader = Reader(values)
    _check_names(reader, project, set(defaults))
    _check_environment(reader, environment)
    settings = read(reader, f"{project}-{pulumi.get_stack()}")
    if reader.errors:
        raise SettingsError(reader.errors)
    return settings


def read(reader: Reader, prefix: str) -> Settings:
    """Settings from what `reader` holds; meaningless where it then has errors."""
    entry = "the name of an entry in your clouds.yaml"
    existing = reader.choice("database", DATABASES) == "existing"
    return Settings(
        prefix=prefix,
        compute=Cloud(reader.text("computeCloud", needed=entry), reader.text("computeRegion")),
        database_cloud=Cloud(
            reader.text("databaseCloud", needed="" if existing else entry),
            reader.text("databaseRegion"),
        ),
        transform=reader.choice("transform", list(TransformName)),
        interval=reader.text(
            "timerInterval",
            needed="the pause between two passes, for example 1s",
            pattern=r"[1-9]\d*(ms|s|min|h)",
            like="a whole number and ms, s, min or h, for example 1s",
        ),
        store=_store(reader),
        database=_database(reader),
        existing_database=existing_database.read(reader) if existing else None,
        machine=_machine(reader),
        protect_data=reader.boolean("protectData"),
    )


def _store(reader: Reader) -> Store:
    store = Store(
        kind=reader.choice("objectStore", STORES),
        endpoint=reader.text(
            "objectStoreEndpoint",
            pattern=r"https?://[A-Za-z0-9.\-\[\]:]+/?",
            like="the store's address without a path, for example https://a3s.fi",
        ).rstrip("/"),
        region=reader.text("objectStoreRegion"),
        access_key=reader.text("s3AccessKey"),
        secret_key=reader.text("s3SecretKey"),
        key_round=reader.integer("s3KeyRound", 1, 1_000_000),
        input=reader.bucket("inputBucket"),
        output=reader.bucket("outputBucket"),
        quarantine=reader.bucket("quarantineBucket"),
        adopted=reader.items("adoptBuckets"),
    )
    _check_store(reader, store)
    return store


def _check_store(reader: Reader, store: Store) -> None:
    if store.kind != "openstack":
        reader.text("objectStoreEndpoint", needed="the S3 store's address, https://host")
        reader.text("s3AccessKey", needed="the store's access key, with `--secret`")
        reader.text("s3SecretKey", needed="the store's secret key, with `--secret`")
    elif bool(store.access_key) != bool(store.secret_key):
        missing = "s3SecretKey" if store.access_key else "s3AccessKey"
        reader.refuse(
            f"{missing} is missing though its other half is set: set both, or neither so that keys"
            " are made."
        )
    if store.kind == "aws":
        reader.text("objectStoreRegion", needed="the region of the buckets, for example eu-north-1")
    roles = {
        "inputBucket": store.input,
        "outputBucket": store.output,
        "quarantineBucket": store.quarantine,
    }
    for role, name in roles.items():
        if store.kind == "existing" and not name:
            reader.refuse(f"{role} is missing: objectStore is existing, so name a bucket you have.")
        for other, same in roles.items():
            if name and other < role and same == name:
                reader.refuse(
                    f"{role} and {other} are both {name!r}: give each its own bucket, or results"
                    " would be taken for work."
                )
    for name in store.adopted:
        if name not in roles.values():
            reader.refuse(
                f"adoptBuckets has {name!r}, which is none of the three buckets: set inputBucket,"
                " outputBucket or quarantineBucket to it, or remove it."
            )


def _database(reader: Reader) -> Database:
    def wrong(network: Network) -> str:
        if not isinstance(network, IPv4Network):
            return "the database service takes IPv4 only, so write an IPv4 range"
        if network.prefixlen < WIDEST_DATABASE_PREFIX:
            return (
                f"ranges wider than /{WIDEST_DATABASE_PREFIX} are refused, so write narrower ones"
            )
        return ""

    name = r"[a-z_][a-z0-9_]{0,62}"
    database = Database(
        name=reader.text(
            "databaseName",
            needed="a name for the database, for example pipeline_db",
            pattern=rf"(?!postgres$){name}",
            like="up to 63 of a-z, 0-9 and _, not a digit first, and not postgres",
        ),
        version=reader.text(
            "databaseVersion",
            needed="a PostgreSQL version, for example 17",
            pattern=r"[0-9A-Za-z.\-_]+",
            like="a major version such as 17 or a name the cloud has",
        ),
        flavor=reader.text("databaseFlavor", needed="a flavor of the database cloud"),
        volume=reader.integer("databaseVolumeSize", 1, 10_000),
        cidrs=reader.cidrs("databaseCidrs", wrong),
        password_round=reader.integer("databasePasswordRound", 1, 1_000_000),
        wait_minutes=reader.integer("databaseWaitMinutes", 1, 24 * 60),
        sslmode=reader.choice("databaseSslMode", SSL_MODES),
        root_cert=reader.file("databaseSslRootCert"),
        client_cert=reader.file("databaseSslCert"),
        client_key=reader.file("databaseSslKey"),
    )
    if database.sslmode.startswith("verify-"):
        mode = database.sslmode
        reader.text("databaseSslRootCert", needed=f"a certificate's path, since sslmode is {mode}")
    if bool(database.client_cert) != bool(database.client_key):
        reader.refuse("databaseSslCert and databaseSslKey go together: set both, or neither.")
    return database


def _machine(reader: Reader) -> Machine:
    def wrong(network: Network) -> str:
        if network.prefixlen < WIDEST_OPERATOR_PREFIX[network.version]:
            return "port 22 is not opened to so many, so write your own address, 192.0.2.7/32"
        return ""

    machine = Machine(
        image=reader.text("image", needed="the name of an image, for example Ubuntu-24.04"),
        flavor=reader.text("flavor", needed="the name of a flavor, for example standard.tiny"),
        network=reader.text("network"),
        external_network=reader.text("externalNetwork", needed="the network of floating IPs"),
        operator_cidrs=reader.cidrs("operatorCidrs", wrong),
        public_key=reader.public_key("sshPublicKeyFile"),
        user=reader.text(
            "sshUser", needed="the image's login", pattern=r"[a-z_][a-z0-9_-]*", like="ubuntu"
        ),
    )
    if reader.text("operatorCidrs") in ("", "[]"):
        reader.refuse(
            "operatorCidrs is missing: list the addresses that may log in, for example"
            " [192.0.2.7/32], since log and status run over ssh."
        )
    return machine


def _check_names(reader: Reader, project: str, known: set[str]) -> None:
    """Names the stack sets but Pulumi.yaml does not have: the engine lets them pass unseen."""
    for key in sorted({*CONFIG.get(), *get_config_env()}):
        space, _, name = key.partition(":")
        if space == project and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = (
                f"did you mean {near[0]}?" if near else "remove it; Pulumi.yaml lists them all."
            )
            reader.refuse(f"{name} is no setting of this program: {remedy}")


def _check_environment(reader: Reader, environment: Mapping[str, str]) -> None:
    found = [
        name for name in environment if name.startswith("OS_") and name not in HARMLESS_VARIABLES
    ]
    if found:
        reader.refuse(
            f"The environment sets {', '.join(sorted(found))}, which would fill gaps of both"
            " clouds: unset them (credentials come from clouds.yaml alone)."
        )
