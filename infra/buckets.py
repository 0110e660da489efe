"""The stack's buckets: those that all pipelines share, and those of each pipeline."""

# ruff: noqa: PLC0415  (pulumi_aws is imported only where buckets are on such a store)

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pulumi_openstack as openstack

from clients import archive
from clients.errors import InfraError
from infra.clouds import Compute
from infra.names import FIRST_PIPELINE
from infra.providers import buckets as providers
from infra.providers.dynamic import ProvidedResource
from infra.settings.models import Settings


@dataclass(frozen=True)
class StoreAccess:
    """How the store is reached, as providers want it; the keys are secret."""

    endpoint: str
    store_region: str
    access_key: pulumi.Output[str]
    secret_key: pulumi.Output[str]


class BucketResource(ProvidedResource, name="OverS3"):
    """A resource about one bucket."""

    def __init__(
        self, name: str, access: StoreAccess, props: dict[str, Any], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(name, {**vars(access), **props}, opts)


class BucketClaim(BucketResource, name="BucketClaim"):
    """A name that was free before this stack made its bucket."""

    provider = providers.BucketClaimProvider


class BucketAdoption(BucketResource, name="BucketAdoption"):
    """A bucket that was there before, which this stack uses and never changes or deletes."""

    provider = providers.BucketAdoptionProvider


class BucketContents(BucketResource, name="BucketContents"):
    """The contents of a bucket: purged before the bucket is deleted."""

    provider = providers.BucketContentsProvider
    further_outputs = ("versioned",)


class WorkerArchive(BucketResource, name="WorkerArchive"):
    """The worker's package, from where a machine fetches it."""

    provider = providers.WorkerArchiveProvider


class FolderArchive(WorkerArchive, name="FolderArchive"):
    """A user's folder, which a pipeline's transform needs."""


@dataclass(frozen=True)
class Role:
    """What a bucket is for.

    Attributes:
        prefix: Begins the logical names of its resources.
        pipeline: The pipeline that it belongs to, "" for the stack, KEPT_INPUTS for the archive.
        is_queue: Whether it is a pipeline's input.
    """

    prefix: str
    pipeline: str = ""
    is_queue: bool = False

    @property
    def keeps_versions(self) -> bool:
        """Whether it is a pipeline's: a worker that was frozen must not replace a result."""
        return self.pipeline not in ("", providers.KEPT_INPUTS)


@dataclass(frozen=True)
class Bucket:
    """A bucket's name; `resources` exist once it can be used, and a machine depends on them."""

    name: pulumi.Output[str]
    resources: list[pulumi.Resource]


class Buckets(pulumi.ComponentResource):
    """Access to the store, the shared buckets and what machines download; makes pipelines' buckets.

    Attributes:
        names: Bucket names by role: quarantine, and archive if a pipeline keeps its inputs.
        contents: What a machine depends on: deleted before they are purged.
        worker: The worker's package.
        folders: Pipeline -> its folder.
    """

    def __init__(
        self, settings: Settings, cloud: Compute, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("pipeline:infra:Buckets", "buckets", None, opts)
        self.settings, self.cloud = settings, cloud
        self.access = self._access(settings, cloud)
        self.aws = _aws_provider(self.access, self) if settings.store.kind == "aws" else None
        self.names: dict[str, pulumi.Output[str]] = {}
        self.contents: list[pulumi.Resource] = []
        for (pipeline, role), bucket in settings.buckets(cloud.project_id).items():
            if not pipeline:
                of_archive = providers.KEPT_INPUTS if role == "archive" else ""
                made = self.bucket(Role(role, of_archive), bucket, self)
                self.names[role] = made.name
                self.contents += made.resources
        self.worker = archive.describe()
        used = {name: each.folder for name, each in settings.pipelines.items() if each.folder}
        packed = {folder: archive.describe(folder) for folder in used.values()}
        self.folders = {name: packed[folder] for name, folder in used.items()}
        # One object for each content: pipelines may share it.
        distinct = {each.sha256: each for each in packed.values()}
        uploaded = [self._upload(WorkerArchive, "worker", self.worker)]
        for sha256, each in distinct.items():
            uploaded.append(self._upload(FolderArchive, f"folder-{sha256[:16]}", each))
        self.contents += uploaded
        self.register_outputs({"names": self.names, "endpoint": self.access.endpoint})

    def _upload(
        self, kind: type[WorkerArchive], name: str, packed: archive.Archive
    ) -> pulumi.Resource:
        folder = {"folder": packed.folder} if packed.folder else {}
        props = {"bucket": self.names["quarantine"], "key": packed.key, "sha256": packed.sha256}
        opts = pulumi.ResourceOptions(parent=self, depends_on=self.contents)
        return kind(name, self.access, {**props, **folder}, opts)

    def bucket(self, role: Role, name: str, parent: pulumi.Resource) -> Bucket:
        """Make a bucket below a component, or adopt one that exists."""
        if self.settings.store.adopts(name):
            return self._adopt(role, name, parent)
        return self._make(role, name, parent)

    def _access(self, settings: Settings, cloud: Compute) -> StoreAccess:
        store, rotation = settings.store, settings.interfaces.rotation.keys
        keys: tuple[pulumi.Input[str], pulumi.Input[str]] = (store.access_key, store.secret_key)
        if not store.access_key:
            # A credential cannot be updated: after a rotation it is a new resource, created before
            # its users change; the old one is deleted last.
            outputs = ["access", "secret"]
            made = openstack.identity.Ec2CredentialV3(
                "store-keys" if rotation == 1 else f"store-keys-{rotation}",
                opts=pulumi.ResourceOptions(parent=self, additional_secret_outputs=outputs),
            )
            keys = (made.access, made.secret)
        access, secret = map(pulumi.Output.secret, keys)
        endpoint = store.endpoint or cloud.store_endpoint
        return StoreAccess(endpoint, store.region, access, secret)

    def _adopt(self, role: Role, bucket: str, parent: pulumi.Resource) -> Bucket:
        visible = bucket in self.cloud.own_buckets
        adoption = BucketAdoption(
            f"{role.prefix}-adoption",
            self.access,
            {
                "bucket": bucket,
                "queue": role.is_queue,
                "visible": visible,
                "guarded": self.settings.protect_data,
            },
            self._options(role, parent, other=("claim", "BucketClaim")),
        )
        if visible:
            self._release(role, bucket, adoption, parent)
        return Bucket(pulumi.Output.from_input(bucket), [adoption])

    def _release(
        self, role: Role, bucket: str, adoption: pulumi.Resource, parent: pulumi.Resource
    ) -> None:
        """Read the bucket instead of owning it."""
        # A resource that the program reads, under the name and id of one that the stack owns, is
        # released by the engine without being deleted: a bucket of this stack keeps its contents.
        opts = self._options(role, parent, depends_on=[adoption])
        openstack.objectstorage.Container.get(f"{role.prefix}-bucket", bucket, opts=opts)
        BucketContents(
            f"{role.prefix}-contents",
            self.access,
            {"bucket": bucket, "pipeline": role.pipeline, "versions": False},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=bucket)),
        )

    def _make(self, role: Role, bucket: str, parent: pulumi.Resource) -> Bucket:
        protect = self.settings.protect_data
        claim = BucketClaim(
            f"{role.prefix}-claim",
            self.access,
            {"bucket": bucket, "guarded": protect},
            self._options(role, parent, other=("adoption", "BucketAdoption")),
        )
        opts = pulumi.ResourceOptions(protect=protect)
        made, name = self._bucket(
            f"{role.prefix}-bucket",
            bucket,
            pulumi.ResourceOptions.merge(self._options(role, parent, depends_on=[claim]), opts),
        )
        contents = BucketContents(
            f"{role.prefix}-contents",
            self.access,
            {"bucket": bucket, "pipeline": role.pipeline, "versions": role.keeps_versions},
            pulumi.ResourceOptions.merge(self._options(role, parent, depends_on=[made]), opts),
        )
        return Bucket(name, [contents])

    def _options(
        self,
        role: Role,
        parent: pulumi.Resource,
        depends_on: Sequence[pulumi.Resource] = (),
        other: tuple[str, str] | None = None,
    ) -> pulumi.ResourceOptions:
        """Return options with the former URNs of a resource.

        Before stacks had several pipelines, this component owned all buckets. `other` is the name's
        end and the type of what takes this resource's place when a bucket is adopted or released.
        """
        parents = [parent, self] if role.pipeline == FIRST_PIPELINE else [parent]
        aliases = [pulumi.Alias(parent=former) for former in parents[1:]]
        if other:
            name, type_ = f"{role.prefix}-{other[0]}", f"pulumi-python:dynamic:{other[1]}"
            aliases += [pulumi.Alias(name=name, type_=type_, parent=each) for each in parents]
        return pulumi.ResourceOptions(parent=parent, depends_on=[*depends_on], aliases=aliases)

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


class Pipeline(pulumi.ComponentResource):
    """The buckets of one pipeline.

    Attributes:
        name: The pipeline's name.
        input: The input bucket's name.
        output: The output bucket's name.
        contents: What a machine depends on: deleted before they are purged.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        cloud: Compute,
        buckets: Buckets,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("pipeline:infra:Pipeline", name, None, opts)
        self.name = name
        prefix = "" if name == FIRST_PIPELINE else f"{name}-"
        chosen = settings.buckets(cloud.project_id)
        queue = buckets.bucket(
            Role(f"{prefix}input", name, is_queue=True), chosen[name, "input"], self
        )
        results = buckets.bucket(Role(f"{prefix}output", name), chosen[name, "output"], self)
        self.input, self.output = queue.name, results.name
        self.contents = [*queue.resources, *results.resources]
        self.register_outputs({"input": self.input, "output": self.output})


def _aws_provider(access: StoreAccess, parent: pulumi.Resource) -> Any:
    """Return the provider of AWS S3's buckets, or of another store's that has S3 Control."""
    try:
        import pulumi_aws as aws
    except ImportError:
        raise InfraError(
            "objectStore is aws, which needs the package pulumi-aws: './pipeline' installs it, and"
            " so does `uv pip install --group aws`."
        ) from None

    is_amazon = (urlsplit(access.endpoint).hostname or "").endswith(".amazonaws.com")
    elsewhere: dict[str, Any] = {
        "endpoints": [aws.ProviderEndpointArgs(s3=access.endpoint, s3control=access.endpoint)],
        "s3_use_path_style": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "skip_region_validation": True,
        "skip_requesting_account_id": True,
    }
    return aws.Provider(
        "object-store",
        access_key=access.access_key,
        secret_key=access.secret_key,
        region=access.store_region,
        opts=pulumi.ResourceOptions(parent=parent),
        **({} if is_amazon else elsewhere),
    )
