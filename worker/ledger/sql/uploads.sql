-- Files that came over HTTP, by their tokens or their request, and the last job on each.
-- The job is known by the token in its upload's metadata, or, where the store forgot that, by key
-- and content.
SELECT
    u.token,
    u.pipeline,
    u.key,
    u.bytes,
    u.sha256,
    last.job_id AS job,
    last.run_id AS run,
    CASE
        WHEN last.outcome IS NOT NULL AND NOT last.is_put_back THEN last.outcome
        WHEN EXISTS (
            SELECT FROM pipeline.leases AS e
            WHERE
                (e.stack, e.pipeline, e.key_sha256) = (u.stack, u.pipeline, u.key_sha256)
                AND e.until > now()
        ) THEN 'running'
        ELSE 'waiting'
    END AS state,
    last.reason
FROM pipeline.uploads AS u
LEFT JOIN LATERAL (
    SELECT r.run_id
    FROM (
        SELECT r.id, r.run_id, true AS is_named FROM pipeline.results AS r
        WHERE r.upload_token = u.token
        AND (r.stack, r.pipeline, r.input_sha256) = (u.stack, u.pipeline, u.sha256)
        UNION ALL
        SELECT r.id, r.run_id, false AS is_named FROM pipeline.results AS r
        WHERE
            (r.stack, r.pipeline, r.key_sha256) = (u.stack, u.pipeline, u.key_sha256)
            AND r.input_sha256 = u.sha256
            AND r.upload_token IS NULL
            AND r.created_at >= u.created_at
    ) AS r
    ORDER BY r.is_named DESC, r.id
    LIMIT 1
) AS first ON true
LEFT JOIN LATERAL (
    SELECT
        r.job_id,
        r.run_id,
        r.outcome,
        r.reason,
        EXISTS (SELECT FROM pipeline.retries AS t WHERE t.job_id = r.job_id) AS is_put_back
    FROM pipeline.results AS r
    WHERE
        r.run_id = first.run_id
        AND (r.stack, r.pipeline) = (u.stack, u.pipeline)
        AND r.parent_id IS NULL
    ORDER BY r.id DESC
    LIMIT 1
) AS last ON true
WHERE
    u.stack = %(stack)s
    AND (u.token = any(%(tokens)s::text []) OR u.batch = %(batch)s)
ORDER BY u.batch, u.number;
