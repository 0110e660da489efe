-- The objects that the done jobs of a run stored, in the order in which the jobs were recorded.
SELECT
    r.pipeline,
    o.job_id AS job,
    o.number,
    o.bucket,
    o.key,
    o.version_id,
    coalesce(o.etag, '') AS etag,
    o.bytes,
    o.sha256,
    coalesce(o.content_type, '') AS content_type
FROM pipeline.results AS r INNER JOIN pipeline.outputs AS o USING (job_id)
WHERE r.stack = %(stack)s AND r.run_id = %(run)s AND r.outcome = 'done'
ORDER BY r.id, o.number;
