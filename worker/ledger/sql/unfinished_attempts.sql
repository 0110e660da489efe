-- Attempts without a result: on uploads that failed, and on those during which the worker or the
-- transform died. What another machine works on is left out.
SELECT
    a.key,
    a.version_id,
    a.etag,
    a.last_modified,
    a.crashes,
    a.alone AS is_alone,
    a.problem,
    a.failures,
    a.undeletable AS is_undeletable,
    coalesce(extract(EPOCH FROM now() - a.failed_at), 0)::double precision AS seconds
FROM pipeline.attempts AS a
WHERE
    a.stack = %(stack)s AND a.pipeline = %(pipeline)s AND a.bucket = %(bucket)s
    AND NOT EXISTS (
        SELECT FROM pipeline.leases AS l
        WHERE
            (l.stack, l.pipeline, l.key_sha256)
            = (a.stack, a.pipeline, sha256(convert_to(a.key, 'UTF8')))
            AND l.machine <> %(machine)s AND l.until > now()
    )
ORDER BY a.failed_at;
