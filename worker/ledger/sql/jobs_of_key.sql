-- The newest recorded jobs on a key, newest first.
SELECT
    r.created_at,
    r.job_id AS id,
    r.pipeline,
    r.outcome AS state,
    r.key,
    r.reason,
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
