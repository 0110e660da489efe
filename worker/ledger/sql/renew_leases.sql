-- Extend leases that are still held; their fences are returned.
UPDATE pipeline.leases AS l SET until = now() + interval '30 seconds'
FROM jsonb_to_recordset(%(leases)s) AS b (key text, fence bigint)
WHERE
    (l.stack, l.pipeline, l.key_sha256)
    = (%(stack)s, %(pipeline)s, sha256(convert_to(b.key, 'UTF8')))
    AND l.fence = b.fence
RETURNING l.fence;
