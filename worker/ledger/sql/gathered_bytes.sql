-- The size of the members of runs' gathers.
SELECT
    run_id,
    bytes
FROM pipeline.gathers
WHERE stack = %(stack)s AND pipeline = %(pipeline)s AND run_id = any(%(runs)s);
