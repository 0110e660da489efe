-- Note why the last attempts on uploads failed.
INSERT INTO pipeline.attempts (
    job_id, stack, pipeline, bucket, key, version_id, etag, last_modified, crashes, worker, problem,
    failures, failed_at, undeletable
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
    undeletable = attempts.undeletable OR excluded.undeletable;
