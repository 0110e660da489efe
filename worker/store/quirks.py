"""Where object stores differ from Amazon S3: one table, used by s3_store.py.

docs/object-stores.md lists what each store does; `./pipeline check-store` checks any other.
"""

from dataclasses import dataclass

from worker.errors import RequestRefused


@dataclass(frozen=True)
class Quirk:
    """A difference between stores.

    Attributes:
        stores: Where it was seen.
        behaviour: What the store does.
        handling: What the worker does about it.
        codes: Error codes that reveal it; empty if no error does.
    """

    stores: str
    behaviour: str
    handling: str
    codes: frozenset[str] = frozenset()

    def explains(self, error: RequestRefused) -> bool:
        """Return whether an error reveals this quirk."""
        return error.code in self.codes


# Some stores send S3's code, some only the HTTP status.
_UNSUPPORTED = frozenset({"501", "NotImplemented", "405", "MethodNotAllowed"})

NO_VERSIONING = Quirk(
    stores="rclone",
    behaviour="GetBucketVersioning is not supported",
    handling="the bucket is taken as one without versions",
    codes=_UNSUPPORTED,
)
NO_MULTI_DELETE = Quirk(
    stores="some S3-compatible stores; none that we test",
    behaviour="DeleteObjects is not supported",
    handling="versions are deleted one by one",
    codes=_UNSUPPORTED,
)
REFUSED_VERSION_IS_MISSING = Quirk(
    stores="moto",
    behaviour="DeleteObjects says which key it did not delete, but not which version",
    handling="all versions of that key are deleted one by one",
)
NO_CONDITIONAL_DELETE = Quirk(
    stores="some S3-compatible stores; rclone ignores the condition instead",
    behaviour="DELETE with If-Match is not supported",
    handling="HEAD, then DELETE without a condition: an upload in between is lost",
    codes=frozenset({"501", "NotImplemented"}),
)
DELETE_MARKER_NOT_ALLOWED = Quirk(
    stores="Amazon S3, Ceph RGW, moto",
    behaviour="GET of a version that is a delete marker is not allowed",
    handling="the version counts as missing",
    codes=_UNSUPPORTED,
)
HEAD_OF_NULL_VERSION = Quirk(
    stores="some S3-compatible stores; none that we test",
    behaviour="HEAD refuses the version id 'null'",
    handling="that version is examined with GET",
)
ETAG_IS_NOT_MD5 = Quirk(
    stores="stores that encrypt (SSE-KMS, SSE-C)",
    behaviour="the ETag of a PUT is not the MD5 of the object",
    handling="the stored size is compared instead",
)
ETAG_WITHOUT_QUOTES = Quirk(
    stores="rclone",
    behaviour="the listing shows ETags without quotes, GET with them",
    handling="quotes are removed everywhere",
)
LENGTH_IS_MISSING = Quirk(
    stores="proxies that change bodies; none that we test",
    behaviour="HEAD and GET send no Content-Length",
    handling="the bytes of a GET are counted and compared with the listed size",
)
TIME_IS_MISSING = Quirk(
    stores="proxies, caches; rclone for times beyond the year 9999",
    behaviour="GET and HEAD send no Last-Modified, or none that can be read",
    handling="an unknown time equals every other; ETags are compared",
)
OBJECTS_ARE_COUNTED = Quirk(
    stores="Ceph RGW",
    behaviour="HEAD of a bucket says how many objects it holds (versions, parts of unfinished "
    "uploads, no delete markers); releases since 2025 only with ?read-stats",
    handling="`status` asks for it; elsewhere it counts the waiting uploads and the ledger's rows",
)
COPY_IS_LIMITED = Quirk(
    stores="Amazon S3",
    behaviour="CopyObject refuses sources above 5 GiB",
    handling="they are copied in parts (UploadPartCopy)",
)
LISTED_TIME_DIFFERS = Quirk(
    stores="rclone",
    behaviour="the listing shows the file's modification time, GET and HEAD the time of the PUT",
    handling="an upload is identified by the listing; DELETE is guarded by what GET reported",
)
LISTED_TIME_IS_UNREADABLE = Quirk(
    stores="rclone: a client sets the time, and may set one beyond the year 9999",
    behaviour="a listing has a time that is none",
    handling="the upload is known by the time 1970-01-01",
)
MARKERS_LISTED_APART = Quirk(
    stores="moto",
    behaviour="a page lists all versions, then all delete markers",
    handling="where the order matters, entries are listed one at a time",
)
NEXT_MARKER_IS_MISSING = Quirk(
    stores="some S3-compatible stores; none that we test",
    behaviour="a truncated listing does not say where it continues",
    handling="it is continued after its last entry",
)
TIMES_IN_WHOLE_SECONDS = Quirk(
    stores="all: HEAD and GET by RFC 9110; moto also in listings",
    behaviour="Last-Modified has no fractions",
    handling="times are compared in whole seconds",
)
KEYS_BEYOND_XML = Quirk(
    stores="all that follow S3",
    behaviour="keys may contain characters that XML cannot hold",
    handling="listings are URL-encoded; such versions are deleted one by one",
)
KEYS_ARE_NOT_ENCODED = Quirk(
    stores="moto, in listings of versions",
    behaviour="encoding-type=url is ignored: keys with control characters are not XML",
    handling="the characters are replaced before the listing is parsed, and restored after it",
)
COPY_IGNORES_CONDITION = Quirk(
    stores="Ceph RGW, moto, rclone",
    behaviour="CopyObject ignores x-amz-copy-source-if-match",
    handling="HEAD of the source comes first, and after the copy if that has another ETag",
)
MANIFEST_IS_LISTED = Quirk(
    stores="Ceph RGW",
    behaviour="a large object of Swift's is listed with its manifest's size (0 if dynamic) and the "
    "ETag of an empty object, with which If-Match is compared; GET and HEAD return others",
    handling="HEAD of objects that are listed with that ETag; what GET returns is accepted",
)
MANIFEST_IS_COPIED = Quirk(
    stores="Ceph RGW",
    behaviour="CopyObject of a dynamic large object that replaces metadata stores an empty object",
    handling="such objects are never copied: what was downloaded is uploaded",
)
COPY_KEEPS_METADATA = Quirk(
    stores="rclone",
    behaviour="CopyObject adds the source's metadata to the copy's own",
    handling="no name has one meaning in a source and another in its copy",
)
METADATA_IS_FORGOTTEN = Quirk(
    stores="rclone",
    behaviour="user metadata is kept in memory, until the server ends",
    handling="none: a copy of a result that is read after that begins a run of its own",
)
METADATA_NAMES_ARE_CAPITALISED = Quirk(
    stores="rclone",
    behaviour="names of user metadata are returned capitalised",
    handling="they are compared in lower case",
)
ETAG_OF_PARTS_DIFFERS = Quirk(
    stores="rclone",
    behaviour="CompleteMultipartUpload returns another ETag than the listing, GET and HEAD",
    handling="it is only compared with what the parts make; uploads are known by the listing",
)
VERSION_OF_PARTS_IS_NULL = Quirk(
    stores="moto",
    behaviour="CompleteMultipartUpload returns the version id 'null' if the bucket has none",
    handling="it counts as none",
)
REGION_IS_SIGNED = Quirk(
    stores="Amazon S3; Ceph RGW, rclone and moto ignore the region",
    behaviour="a request signed for another region is refused or redirected",
    handling="objectStoreRegion is signed, us-east-1 without it",
    codes=frozenset(
        {
            *("PermanentRedirect", "TemporaryRedirect", "301", "307"),
            "AuthorizationHeaderMalformed",
        }
    ),
)
