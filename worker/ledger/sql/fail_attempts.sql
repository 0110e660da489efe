-- Note why the last attempts on uploads failed. If it was their deletion: on their results, too.
WITH failed AS (
    INSERT INTO pipeline.attempts (
        job_id, stack, pipeline, bucket, key, version_id, etag, last_modified, crashes, worker,
        problem, failures, failed_at, undeletable
    )
    SELECT
        f.attempt_id, %(stack)s, %(pipeline)s, f.bucket, f.key, f.version_id, f.etag,
        f.last_modified, 0, %(machine)s, f.problem, 1, now(), %(undeletable)s
    FROM jsonb_to_recordset(%(failures)s) AS f (
        attempt_id text, bucket text, key text, version_id text, etag text,
        last_modified timestamptz, problem text
    )
    ON CONFLICT (job_id) DO UPDATE SET
        problem = excluded.problem,
        failures = attempts.failures + 1,
        failed_at = excluded.failed_at,
        undeletable = excluded.undeletable
    RETURNING bucket, key, version_id, etag, last_modified, problem, undeletable
)

UPDATE pipeline.results AS r SET undeletable = f.problem
FROM failed AS f
WHERE
    f.undeletable
    AND (r.stack, r.pipeline, r.key_sha256)
    = (%(stack)s, %(pipeline)s, sha256(convert_to(f.key, 'UTF8')))
    AND (r.bucket, r.version_id, r.etag, r.last_modified)
    = (f.bucket, f.version_id, f.etag, f.last_modified);
