"""S3 clients of the store that is asked."""

from dataclasses import dataclass
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from cli.check_store.keys import Keys

#: What our own programs tell boto3: since 1.36 it sends checksums that many stores do not know.
AS_THE_PIPELINE = "when_required"
AS_BOTO3_COMES = "when_supported"


@dataclass(frozen=True)
class Store:
    """Where it answers, our keys and, where there are some, another owner's."""

    endpoint: str
    keys: Keys
    other: Keys | None = None
    region: str = ""

    def client(self, keys: Keys | None, checksums: str = AS_THE_PIPELINE) -> Any:
        """A client with these keys, or with none."""
        signing = {"signature_version": UNSIGNED} if keys is None else {"signature_version": "s3v4"}
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region or "us-east-1",
            aws_access_key_id=keys.access if keys else None,
            aws_secret_access_key=keys.secret if keys else None,
            config=Config(
                s3={"addressing_style": "path"},
                connect_timeout=10,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 2},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
                **signing,
            ),
        )

    def make_bucket(self, client: Any, bucket: str) -> None:
        """A store may want to be told the region (AWS outside us-east-1); others refuse that."""
        try:
            client.create_bucket(Bucket=bucket)
        except ClientError as error:
            if "IllegalLocationConstraint" not in told(error) or not self.region:
                raise
            place = {"LocationConstraint": self.region}
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)


def told(error: ClientError) -> str:
    """A refusal in two words: `404 NoSuchKey`."""
    status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    code = str(error.response.get("Error", {}).get("Code", ""))
    return status if code in ("", status) else f"{status} {code}"


def refusal(call: Any, **arguments: Any) -> str:
    """How the store refuses a request; empty where it does not."""
    try:
        call(**arguments)
    except ClientError as error:
        return told(error)
    return ""
