-- What the queue of each pipeline holds: tasks that no machine has begun, those that one has, and
-- the uploads of both; pipelines without tasks are left out.
SELECT
    t.pipeline,
    count(*) FILTER (WHERE t.status = 'todo') AS queued,
    count(*) FILTER (WHERE t.status = 'doing') AS running,
    sum(t.uploads)::bigint AS uploads
FROM (
    SELECT
        a.pipeline,
        j.status,
        count(*) AS uploads
    FROM pipeline.assignments AS a
    INNER JOIN pipeline.procrastinate_jobs AS j ON a.task_id = j.id
    WHERE
        a.stack = %(stack)s AND a.pipeline = any(%(pipelines)s)
        AND j.status IN ('todo', 'doing')
    GROUP BY a.pipeline, j.id
) AS t
GROUP BY t.pipeline;
