-- The most frequent reasons of quarantined jobs that no retry repeated, for each pipeline.
SELECT
    g.pipeline,
    g.reason,
    g.count,
    to_char(g.newest AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS newest
FROM (
    SELECT
        r.pipeline,
        r.reason,
        count(*) AS count,
        max(r.created_at) AS newest,
        row_number() OVER (
            PARTITION BY r.pipeline ORDER BY count(*) DESC, max(r.created_at) DESC
        ) AS place
    FROM pipeline.results AS r
    WHERE
        r.stack = %(stack)s AND r.pipeline = any(%(pipelines)s) AND r.outcome = 'quarantined'
        AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
    GROUP BY r.pipeline, r.reason
) AS g
WHERE g.place <= %(most)s
ORDER BY g.pipeline, g.place;
