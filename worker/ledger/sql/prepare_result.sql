-- Keep the objects that a job stored and what its row will contain, if its lease is still held.
WITH job AS (
    SELECT
        j.*,
        sha256(convert_to(j.key, 'UTF8')) AS key_sha256
    FROM jsonb_to_record(%(row)s) AS j (
        job_id text, run_id text, key text, fence bigint, outputs jsonb, retry_of text
    )
),

held AS (
    UPDATE pipeline.leases AS l SET until = now() + interval '30 seconds'
    FROM job AS j
    WHERE
        (l.stack, l.pipeline, l.key_sha256) = (%(stack)s, %(pipeline)s, j.key_sha256)
        AND l.fence = j.fence
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS d WHERE d.job_id = j.retry_of AND d.outcome = 'dropped'
        )
    RETURNING j.job_id
),

prepared AS (
    INSERT INTO pipeline.prepared_results (job_id, row)
    SELECT job_id, %(row)s FROM held
    ON CONFLICT (job_id) DO NOTHING
    RETURNING job_id
),

pruned AS (
    DELETE FROM pipeline.outputs AS o
    USING job AS j INNER JOIN prepared USING (job_id)
    WHERE o.job_id = j.job_id AND o.number > jsonb_array_length(j.outputs)
),

stored AS (
    INSERT INTO pipeline.outputs (
        job_id, number, stack, pipeline, run_id, bucket, key, key_sha256, version_id, etag,
        sha256, bytes, content_type, fence
    )
    SELECT
        j.job_id, o.number, %(stack)s, %(pipeline)s, j.run_id, o.bucket, o.key,
        sha256(convert_to(o.key, 'UTF8')), o.version_id, o.etag, o.sha256, o.bytes,
        o.content_type, j.fence
    FROM job AS j
    INNER JOIN prepared USING (job_id)
    CROSS JOIN LATERAL jsonb_to_recordset(j.outputs) AS o (
        number integer, bucket text, key text, version_id text, etag text, sha256 text,
        bytes bigint, content_type text
    )
    ON CONFLICT (job_id, number) DO UPDATE SET
        bucket = excluded.bucket,
        key = excluded.key,
        key_sha256 = excluded.key_sha256,
        version_id = excluded.version_id,
        etag = excluded.etag,
        sha256 = excluded.sha256,
        bytes = excluded.bytes,
        content_type = excluded.content_type,
        fence = excluded.fence
)

SELECT job_id FROM prepared;
