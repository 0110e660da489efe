-- Delete the tasks of a pipeline that no machine will end, and count the others.
WITH void AS (
    DELETE FROM pipeline.procrastinate_jobs AS j
    WHERE
        j.queue_name = %(queue)s
        AND (
            j.status NOT IN ('todo', 'doing')
            OR (
                j.status = 'doing'
                AND NOT EXISTS (
                    SELECT FROM pipeline.procrastinate_workers AS w
                    WHERE
                        w.id = j.worker_id
                        AND w.last_heartbeat > now() - make_interval(secs => %(stalled_seconds)s)
                )
            )
        )
    RETURNING j.id
)

SELECT
    count(*) FILTER (WHERE j.status = 'todo') AS queued,
    count(*) FILTER (WHERE j.status = 'doing') AS running,
    count(*) FILTER (WHERE a.large) AS large,
    coalesce(sum(a.keys), 0)::bigint AS keys
FROM pipeline.procrastinate_jobs AS j
LEFT JOIN LATERAL (
    SELECT
        count(*) AS keys,
        bool_or(s.large) AS large
    FROM pipeline.assignments AS s
    WHERE s.task_id = j.id
) AS a ON true
WHERE j.queue_name = %(queue)s AND j.id NOT IN (SELECT void.id FROM void);
