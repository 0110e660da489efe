-- A ledger as it is after a month: of two pipelines, of which the second reads the first; one job in
-- a hundred is quarantined, and a tenth of those was retried. %(count)s is the number of results.
INSERT INTO pipeline.results (
    stack, pipeline, job_id, run_id, parent_id, parent_number, retry_of, created_at, bucket, key,
    key_sha256, version_id, etag, last_modified, input_sha256, input_bytes, output_key,
    output_sha256, output_bytes, seconds, worker, outcome, reason, transform, attempts
)
SELECT
    %(stack)s,
    CASE WHEN n %% 2 = 0 THEN 'negatives' ELSE 'small' END,
    md5(n::text),
    md5((n / 2 * 2)::text),
    CASE WHEN n %% 2 = 1 THEN md5((n - 1)::text) END,
    CASE WHEN n %% 2 = 1 THEN 1 END,
    CASE WHEN n %% 1000 = 1 AND n > 1000 THEN md5((n - 1)::text) END,
    now() - (%(count)s - n) * (interval '30 days' / %(count)s),
    'input',
    'camera-' || n %% 7 || '/photo-' || n || '.jpg',
    sha256(('camera-' || n %% 7 || '/photo-' || n || '.jpg')::bytea),
    '', md5(n::text), now(), encode(sha256(n::text::bytea), 'hex'), 280000,
    'camera-' || n %% 7 || '/negated_photo-' || n || '.jpg',
    encode(sha256(n::text::bytea), 'hex'), 270000, 0.2, 'vm-' || n %% 3,
    CASE WHEN n %% 100 = 0 THEN 'quarantined' ELSE 'done' END,
    CASE WHEN n %% 100 = 0 THEN 'the JPEG is damaged at byte ' || n %% 20 END,
    'negate', 1
FROM generate_series(1, %(count)s) AS n;

INSERT INTO pipeline.outputs (
    job_id, number, stack, pipeline, run_id, bucket, key, key_sha256, version_id, etag, sha256,
    bytes, content_type
)
SELECT
    job_id, 1, stack, pipeline, run_id, 'output', output_key,
    sha256(convert_to(output_key, 'UTF8')), '', '', output_sha256, output_bytes, 'image/jpeg'
FROM pipeline.results WHERE outcome = 'done';

INSERT INTO pipeline.records (job_id, number, data)
SELECT
    job_id, n,
    jsonb_build_object(
        'x', 10 * n, 'y', 20, 'width', 30, 'height', 40, 'score', 0.9,
        'picture_width', 400, 'picture_height', 300
    )
FROM pipeline.results CROSS JOIN generate_series(1, 3) AS n
WHERE outcome = 'done' AND id %% 10 = 0;

INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass)
SELECT %(stack)s, p, 'vm-' || m, now()
FROM unnest(ARRAY['negatives', 'small']) AS p CROSS JOIN generate_series(0, 2) AS m;
