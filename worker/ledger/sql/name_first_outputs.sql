-- Let rebuilt rows name their first result, as other rows do.
UPDATE pipeline.results AS r SET
    output_key = o.key, output_sha256 = o.sha256, output_bytes = o.bytes
FROM pipeline.outputs AS o
WHERE
    (r.stack, r.pipeline) = (%(stack)s, %(pipeline)s)
    AND r.rebuilt_at IS NOT NULL AND r.outcome = 'done' AND r.output_key IS NULL
    AND (o.job_id, o.number) = (r.job_id, 1)
RETURNING r.job_id;
