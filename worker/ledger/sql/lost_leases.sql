-- Leases that were lost before their jobs were recorded under another one, with the results that
-- count: other versions that were stored under these leases are left over.
WITH expired AS (
    DELETE FROM pipeline.lost_leases
    WHERE
        (stack, pipeline) = (%(stack)s, %(pipeline)s)
        AND lost_at < now() - interval '1 day'
),

-- Of workers that were killed, on keys that nobody has used since.
ended AS (
    DELETE FROM pipeline.leases
    WHERE (stack, pipeline) = (%(stack)s, %(pipeline)s) AND until < now() - interval '1 day'
)

SELECT
    l.fence,
    l.job_id,
    jsonb_agg(
        jsonb_build_object('bucket', o.bucket, 'key', o.key, 'version_id', o.version_id)
    ) AS outputs
FROM pipeline.lost_leases AS l
INNER JOIN pipeline.results AS r ON l.job_id = r.job_id AND l.fence < r.fence
INNER JOIN pipeline.outputs AS o ON l.job_id = o.job_id AND o.version_id <> ''
WHERE (l.stack, l.pipeline) = (%(stack)s, %(pipeline)s)
GROUP BY l.fence, l.job_id
ORDER BY l.fence
LIMIT 1000;
