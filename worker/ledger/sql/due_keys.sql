-- Listed keys that no machine has, with what is known about their uploads: a row per attempt, or
-- one with NULL.
SELECT
    w.number,
    a.job_id,
    a.crashes,
    a.alone AS is_alone,
    a.problem,
    a.failures,
    a.undeletable AS is_undeletable,
    coalesce(extract(EPOCH FROM now() - a.failed_at), 0)::double precision AS seconds
FROM jsonb_to_recordset(%(works)s) AS w (number integer, key_sha256 bytea, ids text [])
LEFT JOIN pipeline.attempts AS a ON a.job_id = any(w.ids)
WHERE
    NOT EXISTS (
        SELECT FROM pipeline.leases AS l
        WHERE
            (l.stack, l.pipeline, l.key_sha256) = (%(stack)s, %(pipeline)s, w.key_sha256)
            AND l.until > now()
    )
    AND NOT EXISTS (
        SELECT
        FROM pipeline.assignments AS s
        INNER JOIN pipeline.procrastinate_jobs AS j ON s.task_id = j.id
        LEFT JOIN pipeline.procrastinate_workers AS p ON j.worker_id = p.id
        WHERE
            (s.stack, s.pipeline, s.key_sha256) = (%(stack)s, %(pipeline)s, w.key_sha256)
            AND (
                j.status = 'todo'
                OR (
                    j.status = 'doing'
                    AND p.last_heartbeat > now() - make_interval(secs => %(stalled_seconds)s)
                )
            )
    )
    AND NOT EXISTS (
        SELECT FROM pipeline.results AS r
        WHERE
            r.job_id = any(w.ids)
            AND r.rebuilt_at IS NULL
            AND r.created_at > now() - make_interval(secs => %(recorded_seconds)s)
    );
