-- Last heartbeat of each machine for each of its pipelines.
SELECT
    pipeline,
    machine,
    to_char(last_pass AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_pass,
    obstacle
FROM pipeline.heartbeats
WHERE stack = %(stack)s AND pipeline = any(%(pipelines)s)
ORDER BY machine, pipeline;
