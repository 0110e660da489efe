-- Remove attempts that did not crash, or whose uploads are gone.
WITH cleared AS (
    DELETE FROM pipeline.attempts WHERE job_id = any(%(ids)s)
    RETURNING stack, pipeline, bucket, key, version_id, etag, last_modified, undeletable
)

UPDATE pipeline.results AS r SET undeletable = NULL
FROM cleared AS c
WHERE
    c.undeletable
    AND (r.stack, r.pipeline, r.key_sha256)
    = (c.stack, c.pipeline, sha256(convert_to(c.key, 'UTF8')))
    AND (r.bucket, r.version_id, r.etag, r.last_modified)
    = (c.bucket, c.version_id, c.etag, c.last_modified);
