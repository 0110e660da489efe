-- Jobs that each machine recorded during the last ten minutes, for each pipeline: how many in a
-- minute were done; all; and the seconds since the first of them began, at most ten minutes.
SELECT
    pipeline,
    worker AS machine,
    count(*) FILTER (WHERE outcome = 'done') / 10.0::double precision AS rate,
    count(*) AS recorded,
    least(
        600,
        extract(EPOCH FROM now() - min(created_at - seconds * interval '1 second'))
    )::double precision AS seconds
FROM pipeline.results
WHERE
    stack = %(stack)s AND pipeline = any(%(pipelines)s)
    AND created_at > now() - interval '10 minutes'
GROUP BY pipeline, worker;
