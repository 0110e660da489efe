-- The objects of the newest job of each pipeline that was done on a key; without such a job, of the
-- newest one that stored an object under it.
WITH done AS (
    SELECT DISTINCT ON (r.pipeline) r.job_id FROM pipeline.results AS r
    WHERE
        r.stack = %(stack)s
        AND (%(pipeline)s::text IS NULL OR r.pipeline = %(pipeline)s)
        AND r.key_sha256 = sha256(convert_to(%(key)s, 'UTF8'))
        AND r.outcome = 'done'
    ORDER BY r.pipeline ASC, r.created_at DESC, r.id DESC
),

stored AS (
    SELECT DISTINCT ON (o.pipeline)
        o.job_id,
        o.number
    FROM pipeline.outputs AS o
    INNER JOIN pipeline.results AS r USING (job_id)
    WHERE
        o.stack = %(stack)s
        AND (%(pipeline)s::text IS NULL OR o.pipeline = %(pipeline)s)
        AND o.key_sha256 = sha256(convert_to(%(key)s, 'UTF8'))
        AND r.outcome = 'done'
        AND NOT EXISTS (SELECT FROM done)
    ORDER BY o.pipeline ASC, r.created_at DESC, r.id DESC
)

SELECT
    o.pipeline,
    o.job_id AS job,
    o.number,
    o.bucket,
    o.key,
    o.version_id,
    o.bytes,
    o.content_type
FROM pipeline.outputs AS o
WHERE
    o.job_id IN (SELECT d.job_id FROM done AS d)
    OR (o.job_id, o.number) IN (SELECT s.job_id, s.number FROM stored AS s)
ORDER BY o.pipeline, o.number;
