"""A container: a bucket of the S3 server, as both are the same thing on Ceph."""

from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from local.api.cloud import REGION, Cloud
from local.api.http import BAD_REQUEST, CONFLICT, NOT_FOUND, ApiError
from local.api.records import Record
from local.resources.base import Inputs, Kind

MAX_DELETED = 1000
"""Objects that one DeleteObjects takes."""


class Container(Kind):
    """The id is the name. Whether it is there, only the S3 server says."""

    records = "containers"
    title = "Container"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self._made: Any = None

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """A bare PUT: one's own existing bucket answers as if made."""
        name = str(inputs["name"])
        try:
            if not self._exists(name):
                self._s3.create_bucket(Bucket=name)
        except ClientError as error:
            raise ApiError(BAD_REQUEST, f"Container {name} was refused: {error}.") from None
        return name, {
            "name": name,
            "region": inputs.get("region") or REGION,
            "storageClass": "",
        }

    def read(self, identifier: str) -> Record | None:
        """The record, if the bucket is there; also for one made by other means (import)."""
        if not self._exists(identifier):
            return None
        inputs = {"name": identifier}
        computed = {"name": identifier, "region": REGION, "storageClass": ""}
        empty = {"id": identifier, "inputs": inputs, "computed": computed}
        return super().read(identifier) or empty

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Nothing of it concerns S3 (ACLs, metadata), but `forceDestroy` does at the end.

        Another name is ignored, as by the real provider: the container keeps the one it has.
        """
        with self.cloud.records.lock:
            computed = {**self.find(identifier)["computed"], "name": identifier}
            return self.keep(identifier, inputs, computed)

    def delete(self, identifier: str) -> None:
        """Swift deletes an empty one; `forceDestroy` deletes what Swift lists first.

        Swift lists no S3 versions: a bucket that has some stays non-empty. There the real
        provider tries again for many minutes; here it fails at once, and says why.
        """
        record = self.find(identifier)
        if record["inputs"].get("forceDestroy"):
            self._empty(identifier)
        try:
            self._s3.delete_bucket(Bucket=identifier)
        except ClientError as error:
            if _code(error) != "BucketNotEmpty":
                raise
            raise ApiError(CONFLICT, self._why_not_empty(identifier)) from None
        self.cloud.records.remove(self.records, identifier)

    def _empty(self, name: str) -> None:
        while listed := self._s3.list_objects_v2(Bucket=name).get("Contents", []):
            keys = [{"Key": entry["Key"]} for entry in listed[:MAX_DELETED]]
            self._s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})

    def _why_not_empty(self, name: str) -> str:
        if self._s3.list_objects_v2(Bucket=name, MaxKeys=1).get("Contents"):
            return f"Container {name} is not empty (409): delete its objects or set forceDestroy."
        return (
            f"Container {name} is not empty (409): it has S3 versions or delete markers, which "
            "forceDestroy does not see; purge them over S3 first."
        )

    def _exists(self, name: str) -> bool:
        try:
            self._s3.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == NOT_FOUND:
                return False
            raise
        return True

    @property
    def _s3(self) -> Any:
        if self._made is None:
            self._made = boto3.client(
                "s3",
                endpoint_url=self.cloud.store,
                aws_access_key_id=self.cloud.store_key[0],
                aws_secret_access_key=self.cloud.store_key[1],
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, proxies={}),
            )
        return self._made


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
