-- Remove the attempts of uploads that did not crash.
DELETE FROM pipeline.attempts AS a
USING
    jsonb_to_recordset(%(uploads)s) AS b (
        bucket text, key text, version_id text, etag text, last_modified timestamptz
    )
WHERE
    (a.pipeline, a.bucket, a.key, a.version_id, a.etag, a.last_modified)
    = (%(pipeline)s, b.bucket, b.key, b.version_id, b.etag, b.last_modified);
