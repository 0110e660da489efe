-- Assign keys to tasks. Keys that are stored as the same text share a row.
INSERT INTO pipeline.assignments (stack, pipeline, key_sha256, task_id, slow)
SELECT DISTINCT ON (k.key_sha256)
    %(stack)s,
    %(pipeline)s,
    k.key_sha256,
    k.task_id,
    k.slow
FROM jsonb_to_recordset(%(keys)s) AS k (key_sha256 bytea, task_id bigint, slow boolean)
ORDER BY k.key_sha256, k.task_id
ON CONFLICT (stack, pipeline, key_sha256) DO UPDATE SET
    task_id = excluded.task_id,
    slow = excluded.slow,
    created_at = excluded.created_at;
