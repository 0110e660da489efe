-- The newest recorded jobs that match the filter, oldest first; `total` is their number.
-- A quarantined job that was retried is only listed if no state is asked for.
SELECT
    newest.job_id AS id,
    newest.pipeline,
    newest.outcome AS state,
    newest.key,
    newest.worker AS machine,
    newest.run_id AS run,
    newest.attempts,
    newest.seconds,
    (
        SELECT coalesce(jsonb_agg(o.key ORDER BY o.number), '[]') FROM pipeline.outputs AS o
        WHERE newest.outcome = 'done' AND o.job_id = newest.job_id
    ) AS results,
    newest.reason,
    (
        SELECT s.job_id FROM pipeline.results AS s WHERE s.retry_of = newest.job_id
        ORDER BY s.id DESC LIMIT 1
    ) AS retried_by,
    to_char(newest.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "time",
    count(*) OVER () AS total
FROM (
    SELECT r.* FROM pipeline.results AS r
    WHERE
        r.stack = %(stack)s
        AND (%(pipeline)s::text IS NULL OR r.pipeline = %(pipeline)s)
        AND (%(since)s::timestamptz IS NULL OR r.created_at >= %(since)s)
        AND (%(run)s::text IS NULL OR (r.run_id >= %(run)s AND r.run_id < %(run)s || 'g'))
        AND (%(state)s::text IS NULL OR r.outcome = %(state)s)
        AND (
            NOT (%(is_latest)s OR %(state)s::text IS NOT DISTINCT FROM 'quarantined')
            OR NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
        )
        AND (
            NOT %(is_latest)s
            OR r.outcome <> 'done'
            OR NOT EXISTS (
                SELECT FROM pipeline.results AS n
                WHERE
                    (n.stack, n.pipeline, n.key_sha256) = (r.stack, r.pipeline, r.key_sha256)
                    AND n.outcome = 'done' AND n.created_at > r.created_at
            )
        )
        AND (%(reason)s::text IS NULL OR strpos(r.reason, %(reason)s) > 0)
        AND (
            %(like)s::text IS NULL
            OR strpos(r.key, %(like)s) > 0
            OR EXISTS (
                SELECT FROM pipeline.outputs AS o
                WHERE o.job_id = r.job_id AND strpos(o.key, %(like)s) > 0
            )
        )
    ORDER BY r.created_at DESC, r.id DESC
    LIMIT %(last)s
) AS newest
ORDER BY newest.created_at, newest.id;
