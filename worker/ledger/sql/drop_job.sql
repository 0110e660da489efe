-- Record that a quarantined job was dropped, unless it was retried or the lease of its key was lost.
UPDATE pipeline.results AS r SET outcome = 'dropped', dropped_at = now()
FROM pipeline.leases AS l
WHERE
    r.stack = %(stack)s AND r.job_id = %(id)s AND r.outcome = 'quarantined'
    AND (l.stack, l.pipeline, l.key_sha256) = (r.stack, r.pipeline, r.key_sha256)
    AND l.fence = %(fence)s
    AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
RETURNING r.job_id;
