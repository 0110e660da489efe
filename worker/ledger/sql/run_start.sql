-- The first job of a run, and when the run changed last.
SELECT
    r.pipeline,
    r.key,
    r.input_text AS text,
    to_char(r.last_modified AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS uploaded,
    to_char(c.changed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS changed,
    (
        SELECT coalesce(jsonb_agg(h.pipeline), '[]')
        FROM (
            SELECT b.pipeline FROM pipeline.heartbeats AS b
            WHERE b.stack = %(stack)s
            GROUP BY b.pipeline
            HAVING min(b.first_pass) > c.changed
        ) AS h
    ) AS younger_pipelines
FROM (
    SELECT max(greatest(j.created_at, j.dropped_at)) AS changed FROM pipeline.results AS j
    WHERE j.stack = %(stack)s AND j.run_id = %(run)s
) AS c
LEFT JOIN pipeline.results AS r ON r.stack = %(stack)s AND r.job_id = %(run)s;
