"""Swift containers: buckets of the S3 server, as on Ceph, where both are the same."""

from typing import Any

import boto3
from botocore.client import Config
from botocore.exceptions import ClientError

from local.api.http import BAD_REQUEST, CONFLICT, NOT_FOUND
from local.api.state import REGION, CloudState, Record
from local.errors import ApiError
from local.resources.resource_type import Inputs, ResourceType

MAX_DELETED = 1000
"""The number of objects that one DeleteObjects takes."""


class Container(ResourceType):
    """A container, whose id is its name; it exists if the S3 server has the bucket."""

    collection = "containers"
    title = "Container"

    def __init__(self, state: CloudState) -> None:
        super().__init__(state)
        self._client: Any = None

    def compute(self, inputs: Inputs) -> tuple[str, Record]:
        """Return the name and what the cloud computes; the bucket is created unless it exists.

        That is what Swift's PUT does.

        Raises:
            ApiError: 400; S3 refuses the name.
        """
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
        """Return the record; None if there is no bucket. A bucket without a record gets one."""
        if not self._exists(identifier):
            return None
        inputs = {"name": identifier}
        computed = {"name": identifier, "region": REGION, "storageClass": ""}
        empty = {"id": identifier, "inputs": inputs, "computed": computed}
        return super().read(identifier) or empty

    def update(self, identifier: str, inputs: Inputs) -> Record:
        """Store the inputs, of which only `forceDestroy` matters to S3 (not ACLs, metadata).

        Another name is ignored, as by the real provider: the container keeps the one it has.

        Args:
            identifier: the container's name.
            inputs: what the program asks for.

        Returns:
            The record.
        """
        with self.state.records.lock:
            computed = {**self.find(identifier)["computed"], "name": identifier}
            return self.save(identifier, inputs, computed)

    def delete(self, identifier: str) -> None:
        """Delete an empty container; `forceDestroy` first deletes the objects that Swift lists.

        Swift lists no S3 versions: a bucket that has some stays non-empty. The real provider then
        retries for many minutes; this one fails at once with the reason.

        Raises:
            ApiError: 409; the container is not empty.
            ClientError: S3 refuses for another reason.
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
        self.state.records.remove(self.collection, identifier)

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
        if self._client is None:
            self._client = boto3.client(
                "s3",
                endpoint_url=self.state.store,
                aws_access_key_id=self.state.store_key[0],
                aws_secret_access_key=self.state.store_key[1],
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, proxies={}),
            )
        return self._client


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
