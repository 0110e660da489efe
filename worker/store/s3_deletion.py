"""Deletions over S3: of many versions in one request, and of an object if it is unchanged.

`worker.jobs.deletion` decides what is deleted.
"""

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence

from worker.errors import (
    DeletionRefused,
    NoResponse,
    ObjectMissing,
    RequestRefused,
    ResponseTimeout,
    UploadDeferred,
)
from worker.store import quirks
from worker.store.retries import ONCE
from worker.store.s3_requests import S3Requests, checked, escape, text, version_query
from worker.store.store import Version

_MAX_VERSIONS = 1000  # of one DeleteObjects request (S3 API reference)
_Refusals = dict[Version, RequestRefused]
_Failures = dict[Version, UploadDeferred]


def delete_versions(requests: S3Requests, bucket: str, versions: Sequence[Version]) -> _Failures:
    """See `Store.delete_versions`."""
    failures: _Failures = {}
    for start in range(0, len(versions), _MAX_VERSIONS):
        failures |= _delete_some(requests, bucket, versions[start : start + _MAX_VERSIONS])
    return failures


def _delete_some(requests: S3Requests, bucket: str, versions: Sequence[Version]) -> _Failures:
    # quirks.KEYS_BEYOND_XML
    together = [version for version in versions if version[0].isprintable()]
    done, refused, failures = set[Version](), _Refusals(), _Failures()
    if len(together) > 1:
        try:
            refused = _delete_together(requests, bucket, together)
            # quirks.REFUSED_VERSION_IS_MISSING
            unclear = {key for key, _ in refused.keys() - set(together)}
            done = {version for version in together if version[0] not in unclear}
            refused = {version: error for version, error in refused.items() if version in done}
        except ResponseTimeout as error:
            return dict.fromkeys(versions, requests.no_response(bucket, "a DELETE", error))
        except RequestRefused as error:
            if error.is_overload:
                return dict.fromkeys(versions, requests.deferral(bucket, "a DELETE", error))
            # quirks.NO_MULTI_DELETE, or one of the versions is the cause
        except NoResponse:
            pass
    for key, version_id in versions:
        if (key, version_id) not in done:
            try:
                requests.call("DELETE", bucket, key, query=version_query(version_id))
            except RequestRefused as error:
                refused[key, version_id] = error
            except UploadDeferred as error:
                failures[key, version_id] = error
    may_delete = len(refused) + len(failures) < len(versions)
    return failures | _failures(requests, bucket, refused, may_delete=may_delete)


def _failures(
    requests: S3Requests,
    bucket: str,
    refused: Mapping[Version, RequestRefused],
    *,
    may_delete: bool,
) -> _Failures:
    failures: _Failures = {}
    for version, error in refused.items():
        problem = requests.delete_error(bucket, version, error, may_delete=may_delete)
        if isinstance(problem, UploadDeferred):
            failures[version] = problem
            may_delete |= isinstance(problem, DeletionRefused)
        elif not isinstance(problem, ObjectMissing):
            raise problem from error
    return failures


def _delete_together(requests: S3Requests, bucket: str, versions: list[Version]) -> _Refusals:
    """Delete versions in one request (S3 API reference, DeleteObjects)."""
    objects = "".join(
        f"<Object><Key>{escape(key)}</Key><VersionId>{escape(version_id)}</VersionId></Object>"
        for key, version_id in versions
    )
    body = f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {"content-md5": md5, "content-type": "application/xml"}
    response = requests.client.call(
        "POST", bucket, query={"delete": ""}, headers=headers, body=body
    )
    return {
        (text(one, "Key"), text(one, "VersionId")): RequestRefused(text(one, "Code"))
        for one in checked(response).iterfind("Error")
    }


def delete_if_unchanged(
    requests: S3Requests, bucket: str, key: str, version_id: str, etag: str
) -> None:
    """See `Store.delete_if_unchanged`."""

    # Sent once: if the first request worked, a second one could delete a newer upload.
    def delete(headers: dict[str, str]) -> None:
        query = version_query(version_id)
        requests.call("DELETE", bucket, key, query=query, headers=headers, retry=ONCE)

    try:
        try:
            delete({"if-match": f'"{etag}"'})
        except RequestRefused as error:
            if not quirks.NO_CONDITIONAL_DELETE.explains(error):
                raise
            delete({})
    except RequestRefused as error:
        raise requests.delete_error(bucket, (key, version_id), error) from error
