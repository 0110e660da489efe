-- The newest results that match the filter, oldest first.
SELECT
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS "timestamp",
    pipeline,
    job_id AS id,
    key AS input_key,
    output_key,
    input_sha256,
    output_sha256,
    seconds,
    outcome,
    reason,
    notes,
    worker
FROM (
    SELECT * FROM pipeline.results
    WHERE
        stack = %(stack)s
        AND (%(pipeline)s::text IS NULL OR pipeline = %(pipeline)s)
        AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
        AND (NOT %(quarantined)s::boolean OR outcome = 'quarantined')
        AND (
            %(like)s::text IS NULL
            OR strpos(key, %(like)s) > 0
            OR strpos(coalesce(output_key, ''), %(like)s) > 0
        )
    ORDER BY created_at DESC, id DESC
    LIMIT %(last)s
) AS newest
ORDER BY created_at, id;
