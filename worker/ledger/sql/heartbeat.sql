-- Record this machine's last pass, the problem that stopped it, if any, and its load, if it is
-- given; release leases.
WITH released AS (
    DELETE FROM pipeline.leases AS l
    USING jsonb_to_recordset(%(released)s) AS e (key text, fence bigint)
    WHERE
        (l.stack, l.pipeline, l.key_sha256)
        = (%(stack)s, %(pipeline)s, sha256(convert_to(e.key, 'UTF8')))
        AND l.fence = e.fence
)

INSERT INTO pipeline.heartbeats (
    stack, pipeline, machine, last_pass, live, obstacle, last_error, last_error_at,
    cores, cpu, memory_used, memory_total
)
VALUES (
    %(stack)s, %(pipeline)s, %(machine)s, now(), %(live)s, %(obstacle)s, %(obstacle)s,
    CASE WHEN %(obstacle)s::text IS NOT NULL THEN now() END,
    %(cores)s, %(cpu)s, %(memory_used)s, %(memory_total)s
)
ON CONFLICT (stack, pipeline, machine) DO UPDATE SET
    last_pass = excluded.last_pass,
    live = excluded.live,
    obstacle = excluded.obstacle,
    last_error = coalesce(excluded.last_error, heartbeats.last_error),
    last_error_at = coalesce(excluded.last_error_at, heartbeats.last_error_at),
    cores = coalesce(excluded.cores, heartbeats.cores),
    cpu = coalesce(excluded.cpu, heartbeats.cpu),
    memory_used = coalesce(excluded.memory_used, heartbeats.memory_used),
    memory_total = coalesce(excluded.memory_total, heartbeats.memory_total);
