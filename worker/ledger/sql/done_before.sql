-- How many jobs of each pipeline were done before a time.
SELECT
    pipeline,
    count(*) AS done
FROM pipeline.results
WHERE
    stack = %(stack)s AND pipeline = any(%(pipelines)s) AND outcome = 'done'
    AND created_at < %(until)s
GROUP BY pipeline;
