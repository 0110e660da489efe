-- What is recorded of runs: their jobs, those that are not recorded but have stored results, the
-- objects that done jobs stored, and the gathers.
WITH stored AS (
    SELECT
        p.job_id,
        p.row ->> 'run_id' AS run_id,
        p.row ->> 'pipeline' AS pipeline,
        p.row ->> 'key' AS key,
        p.row ->> 'parent_id' AS parent_id,
        (p.row ->> 'parent_number')::integer AS parent_number,
        p.row ->> 'retry_of' AS retry_of
    FROM pipeline.prepared_results AS p
    WHERE p.row ->> 'stack' = %(stack)s
)

SELECT
    u.run_id,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'id', r.job_id,
                        'pipeline', r.pipeline,
                        'key', r.key,
                        'state', CASE WHEN s.job_id IS NULL THEN r.outcome ELSE 'waiting' END,
                        'reason', r.reason,
                        'parent_id', r.parent_id,
                        'parent_number', r.parent_number,
                        'retry_of', r.retry_of,
                        'is_put_back', t.job_id IS NOT NULL AND NOT EXISTS (
                            SELECT FROM pipeline.results AS n WHERE n.retry_of = r.job_id
                        )
                    ) ORDER BY r.id
                ),
                '[]'
            )
        FROM pipeline.results AS r
        LEFT JOIN pipeline.retries AS t USING (job_id)
        LEFT JOIN stored AS s USING (job_id)
        WHERE r.run_id = u.run_id AND r.stack = %(stack)s
    ) || (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'id', s.job_id,
                        'pipeline', s.pipeline,
                        'key', s.key,
                        'state', 'waiting',
                        'parent_id', s.parent_id,
                        'parent_number', s.parent_number,
                        'retry_of', s.retry_of
                    )
                ),
                '[]'
            )
        FROM stored AS s
        WHERE
            s.run_id = u.run_id
            AND NOT EXISTS (SELECT FROM pipeline.results AS r WHERE r.job_id = s.job_id)
    ) AS jobs,
    (
        SELECT
            coalesce(
                jsonb_agg(
                    jsonb_build_object(
                        'pipeline', r.pipeline,
                        'job', o.job_id,
                        'number', o.number,
                        'bucket', o.bucket,
                        'key', o.key,
                        'version_id', o.version_id,
                        'etag', coalesce(o.etag, ''),
                        'sha256', o.sha256,
                        'bytes', o.bytes
                    ) ORDER BY o.job_id, o.number
                ),
                '[]'
            )
        FROM pipeline.results AS r INNER JOIN pipeline.outputs AS o USING (job_id)
        WHERE r.run_id = u.run_id AND r.stack = %(stack)s AND r.outcome = 'done'
    ) AS results,
    (
        SELECT coalesce(jsonb_object_agg(g.pipeline, g.id), '{}') FROM pipeline.gathers AS g
        WHERE g.stack = %(stack)s AND g.run_id = u.run_id
    ) AS gathers
FROM unnest(%(runs)s::text []) AS u (run_id);
