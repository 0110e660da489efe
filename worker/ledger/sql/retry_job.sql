-- Note that an upload is put back from quarantine or from the archive, unless that has led to
-- another job already. Repeating it changes nothing.
WITH job AS (
    SELECT r.* FROM pipeline.results AS r
    WHERE
        r.stack = %(stack)s AND r.job_id = %(id)s AND r.outcome IN ('quarantined', 'done')
        AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
),

inserted AS (
    INSERT INTO pipeline.retries (
        job_id, stack, pipeline, round, run_id, parent_id, parent_number, key, sha256
    )
    SELECT
        job_id, stack, pipeline, round + 1, run_id, parent_id, parent_number, key, input_sha256
    FROM job
    ON CONFLICT (job_id) DO NOTHING
)

SELECT job_id FROM job;
