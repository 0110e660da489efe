-- Counts of results, done jobs per minute over the last ten minutes, and the latest error, for each
-- pipeline. A quarantined job that was retried since does not count.
WITH counted AS (
    SELECT
        r.pipeline,
        r.outcome,
        r.created_at,
        r.key,
        r.reason,
        r.outcome = 'quarantined' AND NOT EXISTS (
            SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id
        ) AS is_quarantined
    FROM pipeline.results AS r
    WHERE r.stack = %(stack)s AND r.pipeline = any(%(pipelines)s)
),

totals AS (
    SELECT
        pipeline,
        count(*) FILTER (WHERE outcome = 'done') AS done,
        count(*) FILTER (WHERE is_quarantined) AS quarantined,
        count(*) FILTER (
            WHERE outcome = 'done' AND created_at > now() - interval '10 minutes'
        ) AS recent
    FROM counted
    GROUP BY pipeline
),

errors AS (
    SELECT DISTINCT ON (e.pipeline)
        e.pipeline,
        e.error,
        e.happened
    FROM (
        SELECT
            pipeline,
            last_error_at AS happened,
            last_error AS error
        FROM pipeline.heartbeats
        WHERE
            stack = %(stack)s AND pipeline = any(%(pipelines)s) AND last_error IS NOT NULL
        UNION ALL
        SELECT
            pipeline,
            created_at,
            key || ': ' || reason
        FROM counted
        WHERE is_quarantined
    ) AS e
    ORDER BY e.pipeline, e.happened DESC
)

SELECT
    p.name,
    coalesce(t.done, 0) AS done,
    coalesce(t.quarantined, 0) AS quarantined,
    coalesce(t.recent, 0) / 10.0::double precision AS rate,
    e.error AS last_error,
    e.happened AS last_error_at
FROM unnest(%(pipelines)s) AS p (name)
LEFT JOIN totals AS t ON p.name = t.pipeline
LEFT JOIN errors AS e ON p.name = e.pipeline;
