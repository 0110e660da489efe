-- Record that a quarantined job was dropped, unless it was retried.
UPDATE pipeline.results AS r SET outcome = 'dropped', dropped_at = now()
WHERE
    r.stack = %(stack)s AND r.job_id = %(id)s AND r.outcome = 'quarantined'
    AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
RETURNING r.job_id;
