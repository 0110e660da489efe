-- Last heartbeat of each of the machines of a pipeline.
SELECT
    machine,
    to_char(last_pass AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS last_pass,
    obstacle
FROM pipeline.heartbeats
WHERE stack = %(stack)s AND pipeline = %(pipeline)s
ORDER BY machine;
