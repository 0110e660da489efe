-- Lease a job's key to an operator's command, unless a machine or another command has leased it.
WITH leased AS (
    INSERT INTO pipeline.leases (stack, pipeline, key_sha256, key, job_id, fence, machine, until)
    SELECT
        r.stack, r.pipeline, r.key_sha256, r.key, r.job_id, nextval('pipeline.fences'), %(holder)s,
        now() + interval '30 seconds'
    FROM pipeline.results AS r
    WHERE r.stack = %(stack)s AND r.job_id = %(id)s
    ON CONFLICT (stack, pipeline, key_sha256) DO UPDATE SET
        job_id = excluded.job_id,
        fence = excluded.fence,
        machine = excluded.machine,
        until = excluded.until
    WHERE leases.until < now()
    RETURNING stack, pipeline, key_sha256, fence
),

-- As in start_jobs: `leases` still shows what was there before this statement.
lost AS (
    INSERT INTO pipeline.lost_leases (fence, job_id, stack, pipeline, machine)
    SELECT l.fence, l.job_id, l.stack, l.pipeline, l.machine
    FROM pipeline.leases AS l INNER JOIN leased AS n USING (stack, pipeline, key_sha256)
    WHERE NOT EXISTS (
        SELECT FROM pipeline.results AS r WHERE r.job_id = l.job_id AND r.fence >= l.fence
    )
    ON CONFLICT (fence) DO NOTHING
)

SELECT fence FROM leased;
