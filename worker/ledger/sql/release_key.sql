-- Give a lease back.
DELETE FROM pipeline.leases
WHERE
    (stack, pipeline, key_sha256)
    = (%(stack)s, %(pipeline)s, sha256(convert_to(%(key)s, 'UTF8')))
    AND fence = %(fence)s;
