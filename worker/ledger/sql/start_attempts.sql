-- Count an attempt per upload; an upload that runs alone also counts as a crash until it ends.
INSERT INTO pipeline.attempts (
    pipeline, bucket, key, version_id, etag, last_modified, crashes, worker
)
SELECT
    %(pipeline)s, b.bucket, b.key, b.version_id, b.etag, b.last_modified,
    %(alone)s::boolean::integer, %(worker)s
FROM jsonb_to_recordset(%(uploads)s) AS b (
    bucket text, key text, version_id text, etag text, last_modified timestamptz
)
ON CONFLICT (pipeline, bucket, key, version_id, etag, last_modified) DO UPDATE SET
    crashes = attempts.crashes + excluded.crashes, worker = excluded.worker, started_at = now();
