-- Last heartbeat of each of the pipeline's machines.
SELECT
    machine,
    to_char(last_pass AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_pass,
    obstacle
FROM pipeline.heartbeats
WHERE pipeline = %(pipeline)s
ORDER BY machine;
