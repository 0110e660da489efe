"""`put` and `get`: a person's two ways into the object store."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import CommandError
from cli.stacks.outputs import Outputs
from cli.stacks.target import LOCAL, command_line

_AT_ONCE = 8


@dataclass(frozen=True)
class Photo:
    """A file and the object key it gets."""

    path: Path
    key: str


def photos(paths: Sequence[Path]) -> list[Photo]:
    """One photo a path, keyed by base name; raises CommandError on what cannot be sent."""
    taken: dict[str, Path] = {}
    for path in paths:
        if not path.is_file():
            raise CommandError(f"'{path}' is not a file that can be read: name existing files.")
        if path.name in taken:
            raise CommandError(
                f"'{taken[path.name]}' and '{path}' would both become object '{path.name}': "
                "rename one or send them one after the other."
            )
        taken[path.name] = path
    return [Photo(path, name) for name, path in taken.items()]


class BucketClient:
    """The pipeline's buckets, with the keys from the stack's outputs."""

    def __init__(self, outputs: Outputs, stack: str = LOCAL) -> None:
        self._outputs = outputs
        self._stack = stack
        # Stores other than AWS's refuse the checksums that boto3 adds by itself since 1.36.
        config = Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"mode": "standard", "max_attempts": 4},
            max_pool_connections=_AT_ONCE,
            s3={"addressing_style": "path"},
        )
        self._s3 = boto3.client(
            "s3",
            endpoint_url=outputs.s3_endpoint,
            aws_access_key_id=outputs.s3_access_key,
            aws_secret_access_key=outputs.s3_secret_key,
            region_name="us-east-1",
            config=config,
        )

    def put(self, items: Sequence[Photo], progress: Callable[[int], None]) -> None:
        """Upload to the input bucket, several at once."""

        def upload(photo: Photo) -> None:
            self._s3.upload_file(str(photo.path), self._outputs.input_bucket, photo.key)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            jobs = [pool.submit(upload, item) for item in items]
            for done, job in enumerate(jobs, 1):
                self._sentence(job.result)
                progress(done)

    def get(self, name: str, folder: Path) -> Path:
        """Fetch the negative of `name` (or the object of that very key) into `folder`."""
        base = name.rsplit("/", 1)[-1]
        prefix = name[: len(name) - len(base)]
        keys = [f"{prefix}negated_{base}", name]
        present = next((key for key in keys if self.has_result(key)), None)
        if present is None:
            raise CommandError(self._why_missing(name))
        target = folder / present.rsplit("/", 1)[-1]
        self._sentence(
            lambda: self._s3.download_file(self._outputs.output_bucket, present, str(target))
        )
        return target

    def has_result(self, key: str) -> bool:
        """Whether the output bucket has this object key."""
        return self._exists(self._outputs.output_bucket, key)

    def settled(self, keys: Sequence[str]) -> int:
        """How many of these are no longer in the input bucket."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._outputs.input_bucket
        )
        waiting = self._sentence(
            lambda: {item["Key"] for page in pages for item in page.get("Contents", [])}
        )
        return sum(key not in waiting for key in keys)

    def _why_missing(self, name: str) -> str:
        outputs = self._outputs
        if self._exists(outputs.input_bucket, name):
            return f"'{name}' still waits in bucket {outputs.input_bucket}: try again in a moment."
        return (
            f"Bucket {outputs.output_bucket} has no result of '{name}': "
            f"'{command_line('log', self._stack)}' tells what was done and what was refused."
        )

    def _exists(self, bucket: str, key: str) -> bool:
        def head() -> bool:
            try:
                self._s3.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004
                    return False
                raise
            return True

        return bool(self._sentence(head))

    def _sentence(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (ClientError, BotoCoreError, boto3.exceptions.Boto3Error) as error:
            raise CommandError(
                f"The object store at {self._outputs.s3_endpoint} said: {error}. If something is "
                f"gone there, '{command_line('refresh', self._stack)}' and "
                f"'{command_line('up', self._stack)}' repair the stack."
            ) from None
