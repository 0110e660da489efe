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
    count(*) FILTER (
        WHERE EXISTS (
            SELECT FROM pipeline.assignments AS a WHERE a.task_id = j.id AND a.slow
        )
    ) AS slow
FROM pipeline.procrastinate_jobs AS j
WHERE j.queue_name = %(queue)s AND j.id NOT IN (SELECT void.id FROM void);
