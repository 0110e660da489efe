-- The first records of some jobs.
SELECT
    d.job_id,
    d.number,
    d.data
FROM pipeline.records AS d
INNER JOIN pipeline.results AS r USING (job_id)
WHERE r.stack = %(stack)s AND d.job_id = any(%(ids)s::text []) AND d.number <= %(most)s
ORDER BY d.job_id, d.number;
