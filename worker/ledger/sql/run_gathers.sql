-- The gathers of a run.
SELECT
    id,
    manifest
FROM pipeline.gathers
WHERE stack = %(stack)s AND run_id = %(run)s
ORDER BY pipeline;
