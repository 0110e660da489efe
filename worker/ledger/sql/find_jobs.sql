-- At most two recorded jobs whose ids begin with a prefix: two are ambiguous.
SELECT job_id AS id FROM pipeline.results
WHERE stack = %(stack)s AND job_id >= %(prefix)s AND job_id < %(prefix)s || 'g'
ORDER BY job_id
LIMIT 2;
