"""What the oracle looks at, read from a real store and a real database."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import psycopg
from botocore.exceptions import ClientError
from psycopg.rows import dict_row

from bench.oracle import Row, StoredResult
from bench.pipeline import WorkerPipeline

_ROWS = """
SELECT r.pipeline, r.job_id, r.key, r.version_id, r.input_sha256, r.outcome, r.run_id, r.reason,
    r.parent_id, r.parent_number, r.retry_of, coalesce(
        (SELECT json_agg(o ORDER BY o.number) FROM pipeline.outputs AS o WHERE o.job_id = r.job_id),
        '[]'
    ) AS outputs
FROM pipeline.results AS r
ORDER BY r.id
"""
#: Tables that are empty when no job runs. Leases end by themselves.
LEFTOVERS = ("attempts", "prepared_results")


class PipelineEvidence:
    """Implements `Evidence`; read when it is made."""

    def __init__(self, pipeline: WorkerPipeline) -> None:
        self._s3 = pipeline.s3
        self._listed, self.keys = cache(self._list), cache(self._keys)
        dsn = pipeline.server.dsn(pipeline.database)
        with psycopg.connect(dsn, autocommit=True, row_factory=dict_row) as connection:
            self.rows: Sequence[Row] = [_row(row) for row in connection.execute(_ROWS)]
            prepared = connection.execute("SELECT row FROM pipeline.prepared_results")
            self.prepared: Sequence[Row] = [_row(one["row"], is_written=False) for one in prepared]
            self.leftovers: dict[str, int] = {
                table: connection.execute(f"TABLE pipeline.{table}".encode()).rowcount
                for table in LEFTOVERS
            }
            unstored = "SELECT FROM pipeline.gathers WHERE stored_at IS NULL"
            self.leftovers |= {"gathers": connection.execute(unstored).rowcount}

    def _keys(self, bucket: str) -> Sequence[str]:
        kinds = ("Contents", "Versions", "DeleteMarkers")
        return [line["Key"] for kind in kinds for line in self._listed(bucket).get(kind, [])]

    def versions(self, bucket: str) -> Collection[tuple[str, str]]:
        """See `Evidence.versions`."""
        return [(one["Key"], one["VersionId"]) for one in self._listed(bucket).get("Versions", [])]

    def _list(self, bucket: str) -> dict[str, list[dict[str, Any]]]:
        try:
            versions = self._s3.get_bucket_versioning(Bucket=bucket).get("Status")
        except ClientError:  # rclone has none
            versions = None
        name = "list_object_versions" if versions else "list_objects_v2"
        lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for page in self._s3.get_paginator(name).paginate(Bucket=bucket):
            for kind in ("Contents", "Versions", "DeleteMarkers"):
                lines[kind] += page.get(kind, [])
        return lines

    def content(self, bucket: str, key: str, version_id: str = "") -> bytes | None:
        """See `Evidence.content`."""
        version = {"VersionId": version_id} if version_id else {}
        try:
            answer = self._s3.get_object(Bucket=bucket, Key=key, **version)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "NoSuchVersion"):
                return None
            raise
        return bytes(answer["Body"].read())


def _row(row: dict[str, Any], *, is_written: bool = True) -> Row:
    return Row(
        row["pipeline"],
        row["job_id"],
        row["key"],
        row["version_id"],
        row["input_sha256"],
        row["outcome"],
        row["reason"],
        (row["parent_id"], row["parent_number"]) if row["parent_id"] else None,
        row["retry_of"],
        [
            StoredResult(one["number"], one["bucket"], one["key"], one["version_id"], one["sha256"])
            for one in row["outputs"]
        ],
        row["run_id"],
        is_written,
    )
