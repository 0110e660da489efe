-- The first objects that some jobs stored, and how many each stored.
SELECT
    o.job_id,
    o.pipeline,
    o.number,
    o.bucket,
    o.key,
    o.version_id,
    o.sha256,
    o.bytes,
    o.content_type,
    (SELECT max(n.number) FROM pipeline.outputs AS n WHERE n.job_id = o.job_id) AS total
FROM pipeline.outputs AS o
WHERE o.stack = %(stack)s AND o.job_id = any(%(ids)s::text []) AND o.number <= %(most)s
ORDER BY o.job_id, o.number;
