-- Those of the listed uploads that are not recorded yet; which of them a machine works on, or why
-- their last attempts failed; and where they may come from, if their metadata says so.
WITH listed AS (
    SELECT
        u.*,
        sha256(convert_to(u.key, 'UTF8')) AS key_sha256,
        sha256(convert_to(u.result_key, 'UTF8')) AS result_key_sha256
    FROM jsonb_to_recordset(%(uploads)s) AS u (
        number integer, attempt_id text, bucket text, key text, result_key text, version_id text,
        etag text, last_modified timestamptz
    )
),

origins AS (
    SELECT
        l.number,
        t.job_id AS retry,
        t.round,
        t.run_id AS run,
        t.parent_id AS parent,
        t.parent_number
    FROM listed AS l
    INNER JOIN pipeline.retries AS t USING (key)
    WHERE
        t.stack = %(stack)s AND t.pipeline = %(pipeline)s
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS s WHERE s.retry_of = t.job_id AND s.outcome = 'done'
        )
    UNION ALL
    SELECT
        l.number,
        NULL AS retry,
        0 AS round,
        o.run_id AS run,
        o.job_id AS parent,
        o.number AS parent_number
    FROM listed AS l
    INNER JOIN pipeline.outputs AS o
        ON o.key_sha256 IN (l.key_sha256, l.result_key_sha256) AND l.etag = o.etag
    WHERE o.stack = %(stack)s AND o.pipeline = any(%(sources)s)
    UNION ALL
    SELECT
        l.number,
        NULL AS retry,
        0 AS round,
        g.run_id AS run,
        g.id AS parent,
        1 AS parent_number
    FROM listed AS l
    INNER JOIN pipeline.gathers AS g ON l.key = g.run_id || '.json'
    WHERE g.stack = %(stack)s AND g.pipeline = %(pipeline)s
)

SELECT
    l.number,
    coalesce(a.attempts, 0) AS attempts,
    a.problem,
    a.failed_at,
    e.machine,
    CASE WHEN e.machine IS NOT NULL THEN a.started_at END AS started_at,
    (
        SELECT coalesce(jsonb_agg(to_jsonb(o) - 'number'), '[]') FROM origins AS o
        WHERE o.number = l.number
    ) AS origins
FROM listed AS l
LEFT JOIN pipeline.attempts AS a ON l.attempt_id = a.job_id AND NOT a.undeletable
LEFT JOIN pipeline.leases AS e
    ON
        a.job_id IS NOT NULL AND a.problem IS NULL
        AND (e.stack, e.pipeline, e.key_sha256) = (%(stack)s, %(pipeline)s, l.key_sha256)
        AND e.until > now()
WHERE NOT EXISTS (
    SELECT FROM pipeline.results AS r
    WHERE
        (r.stack, r.pipeline, r.key_sha256) = (%(stack)s, %(pipeline)s, l.key_sha256)
        AND (r.bucket, r.version_id, r.etag, r.last_modified)
        = (l.bucket, l.version_id, l.etag, l.last_modified)
)
-- Without versions, what was put back within a second looks like the recorded upload.
OR l.key IN (
    SELECT t.key FROM pipeline.retries AS t
    WHERE
        (t.stack, t.pipeline) = (%(stack)s, %(pipeline)s)
        AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = t.job_id)
)
ORDER BY l.number;
