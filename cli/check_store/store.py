"""The store that is checked, and clients of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.check_store.credentials import Credentials

#: What this project configures: since 1.36 boto3 sends checksums that many stores refuse.
CHECKSUMS_WHEN_REQUIRED = "when_required"
#: boto3's default.
CHECKSUMS_WHEN_SUPPORTED = "when_supported"


@dataclass(frozen=True)
class Store:
    """An endpoint, our credentials and, if there are any, another owner's."""

    endpoint: str
    credentials: Credentials
    other: Credentials | None = None
    region: str = ""

    def client(
        self, credentials: Credentials | None, checksums: str = CHECKSUMS_WHEN_REQUIRED
    ) -> Any:
        """Return a boto3 client with these credentials; None for anonymous requests."""
        signature = UNSIGNED if credentials is None else "s3v4"
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region or "us-east-1",
            aws_access_key_id=credentials.access if credentials else None,
            aws_secret_access_key=credentials.secret if credentials else None,
            config=Config(
                s3={"addressing_style": "path"},
                connect_timeout=10,
                read_timeout=60,
                # What a store answers while it is overloaded is no result.
                retries={"mode": "standard", "total_max_attempts": 6},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
                signature_version=signature,
            ),
        )

    def create_bucket(self, client: Any, bucket: str) -> None:
        """Create a bucket; AWS outside us-east-1 requires the region, other stores refuse it."""
        try:
            client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if "IllegalLocationConstraint" not in describe(error) or not self.region:
                raise
            location = {"LocationConstraint": self.region}
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)


def describe(error: ClientError) -> str:
    """Return status and code of an error response: `404 NoSuchKey`."""
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    code = str(error.response.get("Error", {}).get("Code", ""))
    return status if code in ("", status) else f"{status} {code}"


def refusal(request: Callable[..., object], **arguments: Any) -> str:
    """Send a request; return status and code of its refusal, "" for success."""
    try:
        request(**arguments)
    except ClientError as error:
        return describe(error)
    return ""
