"""The three buckets: input (the queue), output, quarantine."""

# ruff: noqa: PLC0415  (pulumi_aws is imported only where buckets are on such a store)

from typing import Any

import pulumi
import pulumi_openstack as openstack
from pulumi.dynamic import Resource, ResourceProvider

from infra.clouds import Compute
from infra.providers import buckets as bucket_providers
from infra.settings import Settings, Store
from infra.store_access import StoreAccess
from infra.user_data import archive as worker_archive


class _OverS3(Resource, name="OverS3"):
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


class BucketClaim(_OverS3, name="BucketClaim"):
    """See BucketClaimProvider."""

    provider = bucket_providers.BucketClaimProvider


class BucketAdoption(_OverS3, name="BucketAdoption"):
    """See BucketAdoptionProvider."""

    provider = bucket_providers.BucketAdoptionProvider


class BucketContents(_OverS3, name="BucketContents"):
    """See BucketContentsProvider."""

    provider = bucket_providers.BucketContentsProvider


class WorkerArchive(_OverS3, name="WorkerArchive"):
    """See WorkerArchiveProvider."""

    provider = bucket_providers.WorkerArchiveProvider


class Buckets(pulumi.ComponentResource):
    """Names by role, access, and what must be gone before a machine's buckets are emptied.

    `worker` is the archive that the machine boots from.
    """

    names: dict[str, pulumi.Output[str]]
    access: StoreAccess
    contents: list[pulumi.Resource]
    worker: worker_archive.Archive

    def __init__(
        self, settings: Settings, cloud: Compute, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pipeline:infra:Buckets", "buckets", None, opts)
        store = settings.store
        self.access = self._access(store, cloud)
        self.aws = self._aws(store)
        self.names, self.contents = {}, []
        for role, bucket in settings.names.buckets(store.chosen, cloud.project_id).items():
            if store.kind == "existing" or bucket in store.adopted:
                self._adopt(role, bucket)
            else:
                self._make(role, bucket, settings)
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
        # A credential has nothing that could change: another round is another resource, made before
        # all that uses it is changed, and the old one goes last.
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

    def _aws(self, store: Store) -> Any:
        if store.kind != "aws":
            return None
        from infra.aws_bucket import aws_provider

        return aws_provider(self.access, pulumi.ResourceOptions(parent=self))

    def _adopt(self, role: str, bucket: str) -> None:
        adoption = BucketAdoption(
            f"{role}-adoption",
            self.access,
            {"bucket": bucket, "queue": role == "input"},
            pulumi.ResourceOptions(parent=self),
        )
        self.names[role] = pulumi.Output.from_input(bucket)
        self.contents.append(adoption)

    def _make(self, role: str, bucket: str, settings: Settings) -> None:
        claim = BucketClaim(
            f"{role}-claim", self.access, {"bucket": bucket}, pulumi.ResourceOptions(parent=self)
        )
        made, self.names[role] = self._bucket(
            f"{role}-bucket",
            bucket,
            pulumi.ResourceOptions(parent=self, depends_on=[claim], protect=settings.protect_data),
        )
        contents = BucketContents(
            f"{role}-contents",
            self.access,
            {"bucket": bucket, "versions": role == "input", "versioned": None},
            pulumi.ResourceOptions(parent=self, depends_on=[made], protect=settings.protect_data),
        )
        self.contents.append(contents)

    def _bucket(
        self, name: str, bucket: str, opts: pulumi.ResourceOptions
    ) -> tuple[pulumi.Resource, pulumi.Output[str]]:
        if self.aws is None:
            container = openstack.objectstorage.Container(
                name, name=bucket, force_destroy=False, opts=opts
            )
            return container, container.name
        from infra.aws_bucket import aws_bucket

        with_provider = pulumi.ResourceOptions(provider=self.aws)
        made = aws_bucket(name, bucket, pulumi.ResourceOptions.merge(opts, with_provider))
        return made, made.bucket
