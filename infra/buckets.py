"""The three buckets: input (the queue), output, quarantine."""

# ruff: noqa: PLC0415  (pulumi_aws is imported only where buckets are on such a store)

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pulumi_openstack as openstack
from pulumi.dynamic import Resource, ResourceProvider

from infra.clouds import Compute
from infra.errors import InfraError
from infra.providers import buckets as providers
from infra.settings.models import Settings, Store
from infra.user_data import archive as worker_archive


@dataclass(frozen=True)
class StoreAccess:
    """How the store is reached; the keys are secret."""

    endpoint: str
    region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]


class BucketResource(Resource, name="OverS3"):
    """A dynamic resource about one bucket."""

    provider: type[ResourceProvider]

    def __init__(
        self, name: str, access: StoreAccess, props: dict[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        where = {
            "endpoint": access.endpoint,
            "store_region": access.region,
            "access_key": access.access_key,
            "secret_key": access.secret_key,
        }
        super().__init__(self.provider(), name, {**where, **props}, opts)


class BucketClaim(BucketResource, name="BucketClaim"):
    """A name that was free before this stack made its bucket."""

    provider = providers.BucketClaimProvider


class BucketAdoption(BucketResource, name="BucketAdoption"):
    """A bucket that was there before, which this stack uses and never changes or deletes."""

    provider = providers.BucketAdoptionProvider


class BucketContents(BucketResource, name="BucketContents"):
    """The contents of a bucket: purged before the bucket is deleted."""

    provider = providers.BucketContentsProvider


class WorkerArchive(BucketResource, name="WorkerArchive"):
    """The worker's package, from where a machine fetches it."""

    provider = providers.WorkerArchiveProvider


class Buckets(pulumi.ComponentResource):
    """The three buckets with what they need: keys, ownership, contents, the worker's archive."""

    names: dict[str, pulumi.Output[str]]  # by role
    access: StoreAccess
    contents: list[pulumi.Resource]  # a machine depends on them: deleted before they are purged
    worker: worker_archive.Archive

    def __init__(
        self, settings: Settings, cloud: Compute, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pipeline:infra:Buckets", "buckets", None, opts)
        self.settings, store = settings, settings.store
        self.access = self._access(store, cloud)
        self.aws = _aws_provider(self.access, self) if store.kind == "aws" else None
        self.names, self.contents = {}, []
        for role, bucket in settings.names.buckets(store.chosen, cloud.project_id).items():
            if store.kind == "existing" or bucket in store.adopted:
                self._adopt(role, bucket, visible=bucket in cloud.own_buckets)
            else:
                self._make(role, bucket)
        self.worker = worker_archive.pack()
        uploaded = WorkerArchive(
            "worker",
            self.access,
            {
                "bucket": self.names["quarantine"],
                "key": self.worker.key,
                "sha256": self.worker.sha256,
            },
            pulumi.ResourceOptions(parent=self, depends_on=self.contents),
        )
        self.contents = [*self.contents, uploaded]
        self.register_outputs({"names": self.names, "endpoint": self.access.endpoint})

    def _access(self, store: Store, cloud: Compute) -> StoreAccess:
        endpoint = store.endpoint or cloud.store_endpoint
        if store.access_key:
            keys = (pulumi.Output.secret(store.access_key), pulumi.Output.secret(store.secret_key))
            return StoreAccess(endpoint, store.region, *keys)
        # A credential cannot be updated: another round is a new resource, created before its users
        # change; the old one is deleted last.
        made = openstack.identity.Ec2CredentialV3(
            "store-keys" if store.key_round == 1 else f"store-keys-{store.key_round}",
            opts=pulumi.ResourceOptions(
                parent=self, additional_secret_outputs=["access", "secret"]
            ),
        )
        return StoreAccess(
            endpoint,
            store.region,
            pulumi.Output.secret(made.access),
            pulumi.Output.secret(made.secret),
        )

    def _adopt(self, role: str, bucket: str, *, visible: bool) -> None:
        adoption = BucketAdoption(
            f"{role}-adoption",
            self.access,
            {
                "bucket": bucket,
                "queue": role == "input",
                "visible": visible,
                "guarded": self.settings.protect_data,
            },
            pulumi.ResourceOptions(parent=self, aliases=[_alias(f"{role}-claim", "BucketClaim")]),
        )
        self.names[role] = pulumi.Output.from_input(bucket)
        self.contents.append(adoption)
        if visible:
            self._release(role, bucket, adoption)

    def _release(self, role: str, bucket: str, adoption: pulumi.Resource) -> None:
        """Read the bucket instead of owning it."""
        # A resource that the program reads, under the name and id of one that the stack owns, is
        # released by the engine without being deleted: a bucket of this stack keeps its contents.
        opts = pulumi.ResourceOptions(parent=self, depends_on=[adoption])
        openstack.objectstorage.Container.get(f"{role}-bucket", bucket, opts=opts)
        BucketContents(
            f"{role}-contents",
            self.access,
            {"bucket": bucket, "versions": False, "versioned": None},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=bucket)),
        )

    def _make(self, role: str, bucket: str) -> None:
        protect = self.settings.protect_data
        claim = BucketClaim(
            f"{role}-claim",
            self.access,
            {"bucket": bucket, "guarded": protect},
            pulumi.ResourceOptions(
                parent=self, aliases=[_alias(f"{role}-adoption", "BucketAdoption")]
            ),
        )
        made, self.names[role] = self._bucket(
            f"{role}-bucket",
            bucket,
            pulumi.ResourceOptions(parent=self, depends_on=[claim], protect=protect),
        )
        contents = BucketContents(
            f"{role}-contents",
            self.access,
            {"bucket": bucket, "versions": role == "input", "versioned": None},
            pulumi.ResourceOptions(parent=self, depends_on=[made], protect=protect),
        )
        self.contents.append(contents)

    def _bucket(
        self, name: str, bucket: str, opts: pulumi.ResourceOptions
    ) -> tuple[pulumi.Resource, pulumi.Output[str]]:
        """A bucket that is emptied by BucketContents, never by force."""
        if self.aws is None:
            # The provider ignores another name: its update does nothing, and nothing replaces.
            renamed = pulumi.ResourceOptions(replace_on_changes=["name"])
            container = openstack.objectstorage.Container(
                name,
                name=bucket,
                force_destroy=False,
                opts=pulumi.ResourceOptions.merge(opts, renamed),
            )
            return container, container.name
        from pulumi_aws import s3 as aws_s3

        with_provider = pulumi.ResourceOptions(provider=self.aws)
        made = aws_s3.Bucket(
            name,
            bucket=bucket,
            force_destroy=False,
            opts=pulumi.ResourceOptions.merge(opts, with_provider),
        )
        return made, made.bucket


def _alias(name: str, type_: str) -> pulumi.Alias:
    return pulumi.Alias(name=name, type_=f"pulumi-python:dynamic:{type_}")


def _aws_provider(access: StoreAccess, parent: pulumi.Resource) -> Any:
    """Return the provider of AWS S3's buckets, or of another store's that has S3 Control."""
    try:
        import pulumi_aws as aws
    except ImportError:
        raise InfraError(
            "objectStore is aws, which needs the package pulumi-aws: './pipeline' installs it, and"
            " so does `uv pip install --group aws`."
        ) from None

    opts = pulumi.ResourceOptions(parent=parent)
    if (urlsplit(access.endpoint).hostname or "").endswith(".amazonaws.com"):
        return aws.Provider(
            "object-store",
            access_key=access.access_key,
            secret_key=access.secret_key,
            region=access.region,
            opts=opts,
        )
    return aws.Provider(
        "object-store",
        access_key=access.access_key,
        secret_key=access.secret_key,
        region=access.region,
        endpoints=[aws.ProviderEndpointArgs(s3=access.endpoint, s3control=access.endpoint)],
        s3_use_path_style=True,
        skip_credentials_validation=True,
        skip_metadata_api_check=True,
        skip_region_validation=True,
        skip_requesting_account_id=True,
        opts=opts,
    )
