-- Last heartbeat of each machine for each of its pipelines.
SELECT
    pipeline,
    machine,
    to_char(last_pass AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_pass,
    greatest(0, extract(EPOCH FROM now() - last_pass))::double precision AS seconds_ago,
    live,
    obstacle,
    cores,
    cpu,
    memory_used,
    memory_total
FROM pipeline.heartbeats
WHERE stack = %(stack)s AND pipeline = any(%(pipelines)s)
ORDER BY machine, pipeline;
