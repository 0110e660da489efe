-- Lease a key to an operator's command, unless a machine or another command has leased it.
INSERT INTO pipeline.leases (stack, pipeline, key_sha256, key, fence, machine, until)
VALUES (
    %(stack)s, %(pipeline)s, sha256(convert_to(%(key)s, 'UTF8')), %(key)s,
    nextval('pipeline.fences'), %(holder)s, now() + interval '30 seconds'
)
ON CONFLICT (stack, pipeline, key_sha256) DO UPDATE SET
    fence = excluded.fence, machine = excluded.machine, until = excluded.until
WHERE leases.until < now()
RETURNING fence;
