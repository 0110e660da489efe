-- Add rows of quarantined jobs that the database lost.
INSERT INTO pipeline.results (
    stack, pipeline, job_id, round, run_id, parent_id, parent_number, retry_of, fence, attempts,
    bucket, key, key_sha256, version_id, etag, last_modified, input_sha256, input_bytes, seconds,
    worker, outcome, reason, transform, transform_version, parameters_sha256, created_at,
    upload_token, rebuilt_at
)
SELECT
    %(stack)s, b.pipeline, b.job_id, b.round, b.run_id, b.parent_id, b.parent_number, b.retry_of,
    b.fence, b.attempts, b.bucket, b.key, sha256(convert_to(b.key, 'UTF8')), b.version_id, b.etag,
    b.last_modified, b.input_sha256, b.input_bytes, b.seconds, b.worker, 'quarantined', b.reason,
    b.transform, b.transform_version, b.parameters_sha256, b.created_at,
    b.upload_token, now()
FROM jsonb_to_recordset(%(rows)s) AS b (
    pipeline text, job_id text, round integer, run_id text, parent_id text, parent_number integer,
    retry_of text, fence bigint, attempts integer, bucket text, key text, version_id text,
    etag text, last_modified timestamptz, input_sha256 text, input_bytes bigint,
    seconds double precision, worker text, reason text, transform text, transform_version text,
    parameters_sha256 text, created_at timestamptz, upload_token text
)
ON CONFLICT (job_id) DO NOTHING
RETURNING job_id AS id;
