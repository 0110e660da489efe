-- Insert or update a batch of results, one row per upload, and remove their attempts.
WITH batch AS (
    SELECT * FROM jsonb_to_recordset(%(rows)s) AS r (
        pipeline text, bucket text, key text, version_id text, etag text,
        last_modified timestamptz, input_sha256 text, input_bytes bigint, output_key text,
        output_sha256 text, output_bytes bigint, seconds double precision, worker text,
        outcome text, reason text
    )
),

ended AS (
    DELETE FROM pipeline.attempts AS a USING batch AS b
    WHERE
        (a.pipeline, a.bucket, a.key, a.version_id, a.etag, a.last_modified)
        = (b.pipeline, b.bucket, b.key, b.version_id, b.etag, b.last_modified)
)

INSERT INTO pipeline.results (
    pipeline, bucket, key, version_id, etag, last_modified, input_sha256, input_bytes,
    output_key, output_sha256, output_bytes, seconds, worker, outcome, reason
)
SELECT
    pipeline, bucket, key, version_id, etag, last_modified, input_sha256, input_bytes,
    output_key, output_sha256, output_bytes, seconds, worker, outcome, reason
FROM batch
ON CONFLICT (pipeline, bucket, key, version_id, etag, last_modified) DO UPDATE SET
    created_at = now(),
    input_sha256 = excluded.input_sha256,
    input_bytes = excluded.input_bytes,
    output_key = excluded.output_key,
    output_sha256 = excluded.output_sha256,
    output_bytes = excluded.output_bytes,
    seconds = excluded.seconds,
    worker = excluded.worker,
    outcome = excluded.outcome,
    reason = excluded.reason;
