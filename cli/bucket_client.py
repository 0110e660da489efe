"""A pipeline's buckets as `put`, `get` and `demo` use them."""

import errno
import os
from base64 import b64encode
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cli.errors import CommandError, file_error
from cli.stacks.outputs import Outputs, Pipeline
from cli.stacks.target import LOCAL, command_line
from cli.terminal import visible
from worker.errors import NoResponse, RequestRefused
from worker.store.client import Client, Response, Signer
from worker.store.store import Contents
from worker.transforms import describe
from worker.transforms.output_keys import possible_keys

_NOT_FOUND = 404


class StoreUnavailable(CommandError):
    """The object store refuses or fails every request, not only one object's."""


class BucketClient:
    """Access to the buckets with the keys of the stack's outputs."""

    #: S3's codes for what is wrong with a bucket or with our keys, not with one object.
    _GENERAL = frozenset(
        {
            *("403", "AccessDenied", "AuthorizationHeaderMalformed", "InvalidAccessKeyId"),
            *("NoSuchBucket", "QuotaExceeded", "RequestTimeTooSkewed", "SignatureDoesNotMatch"),
        }
    )

    def __init__(self, outputs: Outputs, pipeline: Pipeline, stack: str = LOCAL) -> None:
        """Connect lazily.

        Args:
            outputs: The stack's.
            pipeline: The pipeline whose buckets are used.
            stack: The stack's name, for messages.
        """
        self._outputs = outputs
        self._pipeline = pipeline
        self.stack = stack
        signer = Signer(outputs.s3_region, outputs.s3_access_key, outputs.s3_secret_key)
        self._client = Client(outputs.s3_endpoint, signer)

    def has(self, contents: Contents, key: str) -> bool:
        """Look whether a file was sent under this key before.

        It is pending if the input bucket has an object of that key whose ETag is the file's MD5,
        and processed if a result has the file's SHA-256 in its metadata `input-sha256`.

        Returns:
            Whether it is pending or processed.

        Raises:
            CommandError: The store refuses to answer.
        """
        waiting = self._head(self._pipeline.input_bucket, key)
        if waiting is not None and waiting.headers.get("etag", "").strip('"') == contents.md5.hex():
            return True
        results = (
            self._head(self._pipeline.output_bucket, name) for name in self._result_keys(key)
        )
        return any(
            result.headers.get("x-amz-meta-input-sha256") == contents.sha256
            for result in results
            if result is not None
        )

    def put(self, contents: Contents, key: str) -> None:
        """Store a file in the input bucket; the store checks its MD5 and SHA-256.

        Raises:
            CommandError: The store refuses it; StoreUnavailable if it would refuse every file.
            OSError: The file cannot be read.
        """
        headers = {
            "x-amz-content-sha256": contents.sha256,
            "content-md5": b64encode(contents.md5).decode(),
        }
        self._call("PUT", self._pipeline.input_bucket, key, headers=headers, body=contents.body)

    def download(self, bucket: str, key: str, target: Path, version_id: str = "") -> None:
        """Fetch an object into a file, which is written whole or not at all.

        Args:
            bucket: The object's bucket, "" for the pipeline's output bucket.
            key: The object's key.
            target: The file.
            version_id: The version to fetch, "" for the latest.

        Raises:
            CommandError: The object does not exist, or the file cannot be written.
        """
        query = {"versionId": version_id} if version_id else {}
        part = target.with_name(f".get-{os.getpid()}")
        try:
            # Fails before the download if the file system does not accept the name.
            with suppress(FileNotFoundError):
                target.lstat()
            with part.open("wb") as stream:

                def sink() -> Any:
                    stream.seek(0)
                    stream.truncate()
                    return stream.write

                where = bucket or self._pipeline.output_bucket
                self._call("GET", where, key, query=query, sink=sink)
            part.replace(target)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise CommandError(
                    f"The name '{visible(target.name)}' is too long for this file system: "
                    "give a shorter one with --output FILE."
                ) from None
            error.filename = str(target)
            raise file_error(error) from None
        finally:
            part.unlink(missing_ok=True)

    def count_processed(self, keys: Sequence[str]) -> int:
        """Count those of `keys` that are no longer in the input bucket."""
        waiting = self._keys(self._pipeline.input_bucket)
        return sum(key not in waiting for key in keys)

    def count_answered(self, keys: Sequence[str]) -> int:
        """Count those of `keys` that have a result (inputs stay for some seconds) or are gone."""
        waiting = self._keys(self._pipeline.input_bucket)
        results = self._keys(self._pipeline.output_bucket)
        return sum(
            key not in waiting or not results.isdisjoint(self._result_keys(key)) for key in keys
        )

    def _keys(self, bucket: str) -> set[str]:
        query, found = {"list-type": "2", "encoding-type": "url"}, set()
        while True:
            page = self._call("GET", bucket, query=query).xml()
            found |= {unquote(line.findtext("Key") or "") for line in page.iterfind("Contents")}
            if page.findtext("IsTruncated") != "true":
                return found
            query["continuation-token"] = page.findtext("NextContinuationToken") or ""

    def _result_keys(self, name: str) -> list[str]:
        """Return the keys that a single result of an upload may have."""
        pipeline = self._pipeline
        pattern = pipeline.output_key or describe(pipeline.transform).output_key
        return possible_keys(pattern, name)

    def _head(self, bucket: str, key: str) -> Response | None:
        try:
            return self._client.call("HEAD", bucket, key, sink=lambda: lambda _: None)
        except RequestRefused as error:
            if error.status == _NOT_FOUND:
                return None
            raise self._failure(error) from None
        except NoResponse as error:
            raise self._failure(error) from None

    def _call(self, method: str, bucket: str, key: str = "", **arguments: Any) -> Response:
        try:
            return self._client.call(method, bucket, key, **arguments)
        except (NoResponse, RequestRefused) as error:
            raise self._failure(error) from None

    def _failure(self, error: NoResponse | RequestRefused) -> CommandError:
        endpoint = self._outputs.s3_endpoint
        if isinstance(error, NoResponse):
            return StoreUnavailable(
                f"The object store at {endpoint} does not answer ({error}): check the network; "
                f"'{command_line('refresh', self.stack)}' and "
                f"'{command_line('up', self.stack)}' repair a stack whose store has moved."
            )
        if error.code not in self._GENERAL:
            return CommandError(f"The object store at {endpoint} refused it: {error.code}.")
        return StoreUnavailable(
            f"The object store at {endpoint} refused the request: {error.code}. If something is "
            f"missing there, '{command_line('refresh', self.stack)}' and "
            f"'{command_line('up', self.stack)}' repair the stack."
        )
