-- The first records that the done jobs of a run made, in the order in which these were recorded.
SELECT
    r.pipeline,
    r.job_id AS job,
    d.data
FROM pipeline.results AS r INNER JOIN pipeline.records AS d USING (job_id)
WHERE r.stack = %(stack)s AND r.run_id = %(run)s AND r.outcome = 'done'
ORDER BY r.id, d.number
LIMIT %(most)s;
