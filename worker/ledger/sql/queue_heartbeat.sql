-- Return whether the queue has a current heartbeat of a worker.
SELECT EXISTS (
    SELECT FROM pipeline.procrastinate_workers
    WHERE
        id = %(worker)s
        AND last_heartbeat > now() - make_interval(secs => %(stalled_seconds)s)
) AS is_alive;
