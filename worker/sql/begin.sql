-- Count an attempt before the transform; alone, it is counted as a crash until it has ended.
INSERT INTO pipeline.attempts (
    pipeline, bucket, key, version_id, etag, last_modified, crashes, worker
)
VALUES (
    %(pipeline)s, %(bucket)s, %(key)s, %(version_id)s, %(etag)s, %(last_modified)s,
    %(alone)s::boolean::integer, %(worker)s
)
ON CONFLICT (pipeline, bucket, key, version_id, etag, last_modified) DO UPDATE SET
    crashes = attempts.crashes + excluded.crashes, worker = excluded.worker, started_at = now();
