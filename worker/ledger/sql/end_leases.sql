-- End this machine's leases. The rows of those that were not released stay: the next job on such a
-- key notes a lost lease.
WITH released AS (
    DELETE FROM pipeline.leases AS l
    USING jsonb_to_recordset(%(released)s) AS e (key text, fence bigint)
    WHERE
        (l.stack, l.pipeline, l.key_sha256)
        = (%(stack)s, %(pipeline)s, sha256(convert_to(e.key, 'UTF8')))
        AND l.fence = e.fence
    RETURNING l.fence
)

UPDATE pipeline.leases SET until = now() - interval '1 microsecond'
WHERE
    stack = %(stack)s AND pipeline = %(pipeline)s AND machine = %(machine)s
    AND fence NOT IN (SELECT fence FROM released);
