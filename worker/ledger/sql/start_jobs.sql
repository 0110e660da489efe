-- Lease the keys of a batch and count an attempt per job; say what is known about each job.
-- A key that another machine has leased is left out. A job that runs alone also counts as a crash
-- until it ends.
WITH batch AS (
    SELECT
        b.*,
        sha256(convert_to(b.key, 'UTF8')) AS key_sha256
    FROM jsonb_to_recordset(%(jobs)s) AS b (
        job_id text, attempt_id text, bucket text, key text, version_id text, etag text,
        last_modified timestamptz
    )
),

released AS (
    DELETE FROM pipeline.leases AS l
    USING jsonb_to_recordset(%(released)s) AS e (key text, fence bigint)
    WHERE
        (l.stack, l.pipeline, l.key_sha256)
        = (%(stack)s, %(pipeline)s, sha256(convert_to(e.key, 'UTF8')))
        AND l.fence = e.fence
),

-- The lock of the state folder allows one pass per pipeline and machine: a machine takes its own
-- leases over at once.
leased AS (
    INSERT INTO pipeline.leases (stack, pipeline, key_sha256, key, job_id, fence, machine, until)
    SELECT
        %(stack)s, %(pipeline)s, key_sha256, key, job_id, nextval('pipeline.fences'),
        %(machine)s, now() + interval '30 seconds'
    FROM batch
    ON CONFLICT (stack, pipeline, key_sha256) DO UPDATE SET
        job_id = excluded.job_id,
        fence = excluded.fence,
        machine = excluded.machine,
        until = excluded.until
    WHERE leases.machine = excluded.machine OR leases.until < now()
    RETURNING key_sha256, fence
),

-- `leases` still shows what was there before this statement.
lost AS (
    INSERT INTO pipeline.lost_leases (fence, job_id, stack, pipeline, machine)
    SELECT l.fence, l.job_id, l.stack, l.pipeline, l.machine
    FROM pipeline.leases AS l INNER JOIN leased AS n USING (key_sha256)
    WHERE
        (l.stack, l.pipeline) = (%(stack)s, %(pipeline)s)
        AND NOT EXISTS (
            SELECT FROM jsonb_to_recordset(%(released)s) AS e (fence bigint)
            WHERE e.fence = l.fence
        )
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS r WHERE r.job_id = l.job_id AND r.fence >= l.fence
        )
    ON CONFLICT (fence) DO NOTHING
),

started AS (
    INSERT INTO pipeline.attempts (
        job_id, stack, pipeline, bucket, key, version_id, etag, last_modified, crashes, attempts,
        alone, worker
    )
    SELECT
        b.attempt_id, %(stack)s, %(pipeline)s, b.bucket, b.key, b.version_id, b.etag,
        b.last_modified, %(alone)s::boolean::integer, 1, %(alone)s, %(machine)s
    FROM batch AS b INNER JOIN leased USING (key_sha256)
    ON CONFLICT (job_id) DO UPDATE SET
        crashes = attempts.crashes + excluded.crashes,
        attempts = attempts.attempts + 1,
        alone = excluded.alone,
        problem = NULL,
        worker = excluded.worker,
        started_at = now()
    RETURNING job_id, attempts
)

SELECT
    b.job_id,
    l.fence,
    s.attempts,
    -- As it was before this statement: of an attempt that neither ended nor failed.
    CASE WHEN a.problem IS NULL THEN a.crashes END AS crashes,
    r.outcome AS recorded,
    p.row AS prepared
FROM batch AS b
INNER JOIN leased AS l USING (key_sha256)
INNER JOIN started AS s ON b.attempt_id = s.job_id
LEFT JOIN pipeline.attempts AS a ON b.attempt_id = a.job_id
LEFT JOIN pipeline.results AS r
    ON
        b.job_id = r.job_id
        AND (r.created_at > now() - interval '1 hour' OR a.undeletable)
        AND r.rebuilt_at IS NULL
LEFT JOIN pipeline.prepared_results AS p ON b.job_id = p.job_id;
