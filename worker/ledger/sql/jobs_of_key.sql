-- The newest recorded jobs on a key, newest first, as in job_page.sql.
SELECT
    r.id AS place,
    r.created_at,
    r.job_id AS id,
    r.pipeline,
    r.outcome AS state,
    r.key,
    r.worker AS machine,
    r.run_id AS run,
    r.attempts,
    r.seconds,
    r.reason,
    r.parent_id,
    (
        SELECT s.job_id FROM pipeline.results AS s WHERE s.retry_of = r.job_id
        ORDER BY s.id DESC LIMIT 1
    ) AS retried_by
FROM pipeline.results AS r
WHERE
    r.stack = %(stack)s AND r.pipeline = any(%(pipelines)s)
    AND r.key_sha256 = sha256(convert_to(%(key)s, 'UTF8'))
ORDER BY r.created_at DESC, r.id DESC
LIMIT %(most)s;
