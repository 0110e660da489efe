-- Record this machine's last pass and the problem that stopped it, if any.
INSERT INTO pipeline.heartbeats (
    pipeline, machine, last_pass, obstacle, last_error, last_error_at
)
VALUES (
    %(pipeline)s, %(worker)s, now(), %(obstacle)s, %(obstacle)s,
    CASE WHEN %(obstacle)s::text IS NOT NULL THEN now() END
)
ON CONFLICT (pipeline, machine) DO UPDATE SET
    last_pass = excluded.last_pass,
    obstacle = excluded.obstacle,
    last_error = coalesce(excluded.last_error, heartbeats.last_error),
    last_error_at = coalesce(excluded.last_error_at, heartbeats.last_error_at);
