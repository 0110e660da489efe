-- Jobs that machines work on now: for each machine and pipeline those that began first, and as
-- `running` how many there are. When a repeated job began is not known.
SELECT
    n.pipeline,
    n.machine,
    n.job_id AS id,
    n.key,
    to_char(n.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started,
    n.running
FROM (
    SELECT
        l.pipeline,
        l.machine,
        l.job_id,
        l.key,
        a.started_at,
        count(*) OVER (PARTITION BY l.pipeline, l.machine) AS running,
        row_number() OVER (
            PARTITION BY l.pipeline, l.machine ORDER BY a.started_at, l.key
        ) AS place
    FROM pipeline.leases AS l
    LEFT JOIN pipeline.attempts AS a USING (job_id)
    WHERE
        l.stack = %(stack)s AND l.pipeline = any(%(pipelines)s) AND l.until > now()
        AND a.problem IS NULL
        -- What is recorded only waits for its deletion.
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS r WHERE r.job_id = l.job_id AND r.fence >= l.fence
        )
) AS n
WHERE n.place <= %(most)s
ORDER BY n.pipeline, n.machine, n.place;
