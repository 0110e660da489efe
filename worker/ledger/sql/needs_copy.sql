-- Whether a quarantined job that no retry repeated needs the quarantined copy of a key and content.
SELECT EXISTS (
    SELECT FROM pipeline.results AS r
    WHERE
        (r.stack, r.pipeline, r.key_sha256)
        = (%(stack)s, %(pipeline)s, sha256(convert_to(%(key)s, 'UTF8')))
        AND r.outcome = 'quarantined' AND r.input_sha256 = %(sha256)s
        AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
) AS needed;
