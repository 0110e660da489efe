-- Results (one row per processed upload), attempts that have not ended, heartbeats of machines.
CREATE TABLE pipeline.results (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    pipeline text NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL, -- '' where the bucket has no versions
    etag text NOT NULL,
    last_modified timestamptz NOT NULL,
    input_sha256 text NOT NULL,
    input_bytes bigint NOT NULL,
    output_key text, -- null unless the outcome is done
    output_sha256 text,
    output_bytes bigint,
    seconds double precision NOT NULL,
    worker text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('done', 'quarantined')),
    reason text,
    UNIQUE (pipeline, bucket, key, version_id, etag, last_modified)
);
CREATE INDEX ON pipeline.results (pipeline, created_at);

CREATE TABLE pipeline.attempts (
    pipeline text NOT NULL,
    bucket text NOT NULL,
    key text NOT NULL,
    version_id text NOT NULL,
    etag text NOT NULL,
    last_modified timestamptz NOT NULL,
    crashes integer NOT NULL, -- attempts alone that did not end
    worker text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, bucket, key, version_id, etag, last_modified)
);

CREATE TABLE pipeline.heartbeats (
    pipeline text NOT NULL,
    machine text NOT NULL,
    last_pass timestamptz NOT NULL,
    obstacle text, -- what stopped the last pass, null if nothing
    last_error text,
    last_error_at timestamptz,
    PRIMARY KEY (pipeline, machine)
);

-- The tutorial's table: its columns come first and have its names.
CREATE VIEW pipeline.log_records AS
SELECT
    to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS "timestamp",
    output_key AS negated_image_name,
    output_sha256 AS negated_image_hash,
    pipeline,
    bucket,
    key AS input_key,
    input_sha256,
    seconds,
    worker
FROM pipeline.results
WHERE outcome = 'done'
ORDER BY created_at, id;
