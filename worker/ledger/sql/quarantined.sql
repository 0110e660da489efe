-- Quarantined jobs that no retry repeated, of a pipeline, and of some keys, if these are given.
SELECT
    r.job_id AS id,
    r.pipeline,
    r.key,
    r.input_sha256 AS sha256
FROM pipeline.results AS r
WHERE
    r.stack = %(stack)s AND r.outcome = 'quarantined'
    AND (%(pipeline)s::text IS NULL OR r.pipeline = %(pipeline)s)
    AND (
        %(keys)s::text [] IS NULL
        OR r.key_sha256 IN (
            SELECT sha256(convert_to(k.key, 'UTF8')) FROM unnest(%(keys)s::text []) AS k (key)
        )
    )
    AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
ORDER BY r.id;
