"""Buckets on AWS S3, or on a store that has S3 Control as well (Ceph RGW has not).

pulumi_aws is large: only stacks with `objectStore: aws` import this module.
"""

from urllib.parse import urlsplit

import pulumi
import pulumi_aws as aws

from infra.store_access import StoreAccess


def aws_provider(access: StoreAccess, opts: pulumi.ResourceOptions) -> aws.Provider:
    """The explicit provider of the store's buckets."""
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


def aws_bucket(name: str, bucket: str, opts: pulumi.ResourceOptions) -> aws.s3.Bucket:
    """A bucket; `opts` carries the provider. It is emptied by BucketContents, never by force."""
    return aws.s3.Bucket(name, bucket=bucket, force_destroy=False, opts=opts)
