-- Insert or update the rows of a batch, with objects and records, and remove the attempts; or, if
-- they are not final, keep the objects that one job stored and what its row will contain.
-- Only of jobs whose lease is still held, whose input no other job has done, and that repeat no
-- dropped job; their ids are returned.
WITH batch AS (
    SELECT
        e AS source,
        r AS result,
        r.*
    FROM jsonb_array_elements(%(rows)s) AS e
    CROSS JOIN LATERAL jsonb_populate_record(
        null::pipeline.results, e || jsonb_build_object('created_at', now())
    ) AS r
),

held AS (
    UPDATE pipeline.leases AS l SET until = now() + interval '30 seconds'
    FROM batch AS b
    WHERE
        (l.stack, l.pipeline, l.key_sha256, l.fence)
        = (b.stack, b.pipeline, b.key_sha256, b.fence)
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS r
            WHERE
                (r.stack, r.pipeline, r.parent_id, r.parent_number, r.round)
                = (b.stack, b.pipeline, b.parent_id, b.parent_number, b.round)
                AND r.outcome = 'done' AND r.job_id <> b.job_id
        )
        AND NOT EXISTS (
            SELECT FROM pipeline.results AS d WHERE d.job_id = b.retry_of AND d.outcome = 'dropped'
        )
    RETURNING b.job_id
),

prepared AS (
    INSERT INTO pipeline.prepared_results (job_id, row)
    SELECT b.job_id, b.source
    FROM batch AS b INNER JOIN held USING (job_id)
    WHERE NOT %(final)s
    ON CONFLICT (job_id) DO NOTHING
    RETURNING job_id
),

final AS (
    SELECT job_id FROM held WHERE %(final)s
),

ended AS (
    DELETE FROM pipeline.attempts AS a
    USING batch AS b INNER JOIN final USING (job_id)
    WHERE a.job_id = b.source ->> 'attempt_id'
),

unprepared AS (
    DELETE FROM pipeline.prepared_results AS p
    USING final
    WHERE p.job_id = final.job_id
),

stored AS (
    SELECT b.* FROM batch AS b INNER JOIN final USING (job_id)
    UNION ALL
    SELECT b.* FROM batch AS b INNER JOIN prepared USING (job_id)
),

pruned_outputs AS (
    DELETE FROM pipeline.outputs AS o
    USING stored AS b
    WHERE o.job_id = b.job_id AND o.number > jsonb_array_length(b.source -> 'outputs')
),

put_outputs AS (
    INSERT INTO pipeline.outputs
    SELECT o.*
    FROM stored AS b
    CROSS JOIN LATERAL jsonb_populate_recordset(
        null::pipeline.outputs, b.source -> 'outputs'
    ) AS o
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
    USING batch AS b INNER JOIN final USING (job_id)
    WHERE d.job_id = b.job_id AND d.number > jsonb_array_length(b.source -> 'records')
),

put_records AS (
    INSERT INTO pipeline.records (job_id, number, data)
    SELECT
        b.job_id,
        d.number,
        d.data
    FROM batch AS b
    INNER JOIN final USING (job_id)
    CROSS JOIN LATERAL jsonb_array_elements(b.source -> 'records')
    WITH ORDINALITY AS d (data, number)
    ON CONFLICT (job_id, number) DO UPDATE SET data = excluded.data
),

recorded AS (
    INSERT INTO pipeline.results AS r OVERRIDING USER VALUE
    SELECT (b.result).*
    FROM batch AS b INNER JOIN final USING (job_id)
    ON CONFLICT (job_id) DO UPDATE SET
        created_at = excluded.created_at,
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
        log = excluded.log,
        input_text = excluded.input_text,
        upload_token = coalesce(excluded.upload_token, r.upload_token),
        rebuilt_at = NULL
    RETURNING job_id
)

SELECT job_id FROM recorded
UNION ALL
SELECT job_id FROM prepared;
