-- How many quarantined jobs of each pipeline were not retried.
SELECT
    r.pipeline,
    count(*) AS quarantined
FROM pipeline.results AS r
WHERE
    r.stack = %(stack)s AND r.pipeline = any(%(pipelines)s) AND r.outcome = 'quarantined'
    AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
GROUP BY r.pipeline;
