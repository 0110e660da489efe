-- A recorded job, its retries, and what keeps it from being retried or dropped.
SELECT
    r.job_id AS id,
    r.pipeline,
    r.outcome AS state,
    r.key,
    r.worker AS machine,
    r.run_id AS run,
    r.attempts,
    r.seconds,
    r.reason,
    to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "time",
    r.bucket,
    r.version_id,
    r.etag,
    to_char(r.last_modified AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_modified,
    r.input_sha256 AS sha256,
    r.input_bytes AS bytes,
    to_char(r.dropped_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS dropped_at,
    to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS put_back_at,
    r.notes,
    r.log,
    r.input_text,
    (SELECT count(*) FROM pipeline.records AS d WHERE d.job_id = r.job_id) AS records,
    r.parent_id,
    r.parent_number,
    r.retry_of,
    s.job_id AS retried_by,
    s.outcome AS retried_as,
    to_char(s.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS retried_at,
    (
        SELECT n.job_id FROM pipeline.results AS n
        WHERE
            (n.stack, n.pipeline, n.key_sha256) = (r.stack, r.pipeline, r.key_sha256)
            AND n.outcome = 'done' AND n.created_at > r.created_at
        LIMIT 1
    ) AS newer_done,
    EXISTS (
        SELECT FROM pipeline.results AS o
        WHERE
            (o.stack, o.pipeline, o.key_sha256) = (r.stack, r.pipeline, r.key_sha256)
            AND o.outcome = 'quarantined' AND o.input_sha256 = r.input_sha256
            AND o.job_id <> r.job_id
            AND NOT EXISTS (SELECT FROM pipeline.results AS n WHERE n.retry_of = o.job_id)
    ) AS shares_copy
FROM pipeline.results AS r
LEFT JOIN pipeline.retries AS t ON r.job_id = t.job_id
LEFT JOIN LATERAL (
    SELECT n.* FROM pipeline.results AS n WHERE n.retry_of = r.job_id ORDER BY n.id DESC LIMIT 1
) AS s ON true
WHERE r.stack = %(stack)s AND r.job_id = %(id)s;
