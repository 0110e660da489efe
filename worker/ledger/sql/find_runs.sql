-- At most two runs whose ids, or the ids of whose jobs, begin with a prefix: two are ambiguous.
SELECT run_id
FROM (
    SELECT r.run_id FROM pipeline.results AS r
    WHERE r.stack = %(stack)s AND r.run_id >= %(prefix)s AND r.run_id < %(prefix)s || 'g'
    UNION
    SELECT r.run_id FROM pipeline.results AS r
    WHERE r.stack = %(stack)s AND r.job_id >= %(prefix)s AND r.job_id < %(prefix)s || 'g'
) AS u
ORDER BY run_id
LIMIT 2;
