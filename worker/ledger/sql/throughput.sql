-- Jobs that were recorded since a time, for each minute: done, and quarantined, which may have been
-- retried or dropped since.
SELECT
    pipeline,
    date_trunc('minute', created_at) AS minute,
    count(*) FILTER (WHERE outcome = 'done') AS done,
    count(*) FILTER (WHERE outcome <> 'done') AS failed
FROM pipeline.results
WHERE stack = %(stack)s AND pipeline = any(%(pipelines)s) AND created_at >= %(since)s
GROUP BY pipeline, date_trunc('minute', created_at);
