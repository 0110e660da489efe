-- Record this machine's last pass and the problem that stopped it, if any; release leases.
WITH released AS (
    DELETE FROM pipeline.leases AS l
    USING jsonb_to_recordset(%(released)s) AS e (key text, fence bigint)
    WHERE
        (l.stack, l.pipeline, l.key_sha256)
        = (%(stack)s, %(pipeline)s, sha256(convert_to(e.key, 'UTF8')))
        AND l.fence = e.fence
)

INSERT INTO pipeline.heartbeats (
    stack, pipeline, machine, last_pass, obstacle, last_error, last_error_at
)
VALUES (
    %(stack)s, %(pipeline)s, %(machine)s, now(), %(obstacle)s, %(obstacle)s,
    CASE WHEN %(obstacle)s::text IS NOT NULL THEN now() END
)
ON CONFLICT (stack, pipeline, machine) DO UPDATE SET
    last_pass = excluded.last_pass,
    obstacle = excluded.obstacle,
    last_error = coalesce(excluded.last_error, heartbeats.last_error),
    last_error_at = coalesce(excluded.last_error_at, heartbeats.last_error_at);
