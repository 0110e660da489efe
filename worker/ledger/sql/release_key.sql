-- Give a lease back.
DELETE FROM pipeline.leases
WHERE stack = %(stack)s AND job_id = %(id)s AND fence = %(fence)s;
