-- Insert or update the rows of a batch, with objects and records, and remove the attempts.
-- Only of jobs whose lease is still held, and that repeat no dropped job; their ids are returned.
WITH batch AS (
    SELECT
        b.*,
        sha256(convert_to(b.key, 'UTF8')) AS key_sha256
    FROM jsonb_to_recordset(%(rows)s) AS b (
        job_id text, attempt_id text, round integer, run_id text, parent_id text,
        parent_number integer, retry_of text, fence bigint, attempts integer, bucket text,
        key text, version_id text, etag text, last_modified timestamptz, input_sha256 text,
        input_bytes bigint, output_key text, output_sha256 text, output_bytes bigint,
        seconds double precision, outcome text, reason text, transform text,
        transform_version text, parameters_sha256 text, notes jsonb, log text, outputs jsonb,
        records jsonb
    )
),

held AS (
    UPDATE pipeline.leases AS l SET until = now() + interval '30 seconds'
    FROM batch AS b
    WHERE
        (l.stack, l.pipeline, l.key_sha256) = (%(stack)s, %(pipeline)s, b.key_sha256)
        AND l.fence = b.fence
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS d WHERE d.job_id = b.retry_of AND d.outcome = 'dropped'
        )
    RETURNING b.job_id
),

ended AS (
    DELETE FROM pipeline.attempts AS a
    USING batch AS b INNER JOIN held USING (job_id)
    WHERE a.job_id = b.attempt_id
),

unprepared AS (
    DELETE FROM pipeline.prepared_results AS p
    USING held
    WHERE p.job_id = held.job_id
),

pruned_outputs AS (
    DELETE FROM pipeline.outputs AS o
    USING batch AS b INNER JOIN held USING (job_id)
    WHERE o.job_id = b.job_id AND o.number > jsonb_array_length(b.outputs)
),

stored AS (
    INSERT INTO pipeline.outputs (
        job_id, number, stack, pipeline, run_id, bucket, key, key_sha256, version_id, etag,
        sha256, bytes, content_type, fence
    )
    SELECT
        b.job_id, o.number, %(stack)s, %(pipeline)s, b.run_id, o.bucket, o.key,
        sha256(convert_to(o.key, 'UTF8')), o.version_id, o.etag, o.sha256, o.bytes,
        o.content_type, b.fence
    FROM batch AS b
    INNER JOIN held USING (job_id)
    CROSS JOIN LATERAL jsonb_to_recordset(b.outputs) AS o (
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
),

pruned_records AS (
    DELETE FROM pipeline.records AS d
    USING batch AS b INNER JOIN held USING (job_id)
    WHERE d.job_id = b.job_id AND d.number > jsonb_array_length(b.records)
),

noted AS (
    INSERT INTO pipeline.records (job_id, number, data)
    SELECT
        b.job_id,
        d.number,
        d.data
    FROM batch AS b
    INNER JOIN held USING (job_id)
    CROSS JOIN LATERAL jsonb_array_elements(b.records) WITH ORDINALITY AS d (data, number)
    ON CONFLICT (job_id, number) DO UPDATE SET data = excluded.data
)

INSERT INTO pipeline.results (
    stack, pipeline, job_id, round, run_id, parent_id, parent_number, retry_of, fence, attempts,
    bucket, key, key_sha256, version_id, etag, last_modified, input_sha256, input_bytes,
    output_key, output_sha256, output_bytes, seconds, worker, outcome, reason, transform,
    transform_version, parameters_sha256, notes, log
)
SELECT
    %(stack)s, %(pipeline)s, b.job_id, b.round, b.run_id, b.parent_id, b.parent_number,
    b.retry_of, b.fence, b.attempts, b.bucket, b.key, b.key_sha256, b.version_id, b.etag,
    b.last_modified, b.input_sha256, b.input_bytes, b.output_key, b.output_sha256,
    b.output_bytes, b.seconds, %(machine)s, b.outcome, b.reason, b.transform,
    b.transform_version, b.parameters_sha256, b.notes, b.log
FROM batch AS b INNER JOIN held USING (job_id)
ON CONFLICT (job_id) DO UPDATE SET
    created_at = now(),
    fence = excluded.fence,
    attempts = excluded.attempts,
    input_sha256 = excluded.input_sha256,
    input_bytes = excluded.input_bytes,
    output_key = excluded.output_key,
    output_sha256 = excluded.output_sha256,
    output_bytes = excluded.output_bytes,
    seconds = excluded.seconds,
    worker = excluded.worker,
    outcome = excluded.outcome,
    reason = excluded.reason,
    transform = excluded.transform,
    transform_version = excluded.transform_version,
    parameters_sha256 = excluded.parameters_sha256,
    notes = excluded.notes,
    log = excluded.log
RETURNING job_id;
