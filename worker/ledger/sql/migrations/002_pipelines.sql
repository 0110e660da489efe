-- Several pipelines per stack, jobs with ids, several results per job, leases.
-- What was the name of the stack keeps its column under that name; old rows are of `negatives`.
ALTER TABLE pipeline.results RENAME COLUMN pipeline TO stack;
ALTER TABLE pipeline.results
ADD COLUMN pipeline text NOT NULL DEFAULT 'negatives',
ADD COLUMN job_id text,
ADD COLUMN round integer NOT NULL DEFAULT 0,
ADD COLUMN run_id text,
ADD COLUMN parent_id text, -- the job that made the input, null in a first pipeline
ADD COLUMN parent_number integer,
ADD COLUMN retry_of text, -- the job that this one repeats
ADD COLUMN fence bigint, -- null in rows from before leases
ADD COLUMN attempts integer,
ADD COLUMN transform text NOT NULL DEFAULT 'negate',
ADD COLUMN transform_version text,
ADD COLUMN parameters_sha256 text,
ADD COLUMN notes jsonb NOT NULL DEFAULT '[]',
ADD COLUMN log text, -- the end of the transform's output
ADD COLUMN input_text text, -- of small texts into first pipelines that others read
ADD COLUMN dropped_at timestamptz,
ADD COLUMN rebuilt_at timestamptz, -- when `rebuild-log` made the row from its results
ADD COLUMN key_sha256 bytea, -- keys may be too long for an index
DROP CONSTRAINT results_outcome_check,
ADD CONSTRAINT results_outcome_check CHECK (outcome IN ('done', 'quarantined', 'dropped')),
DROP CONSTRAINT results_pipeline_bucket_key_version_id_etag_last_modified_key;
-- worker/uploads/job.py computes the same id.
UPDATE pipeline.results SET
    key_sha256 = sha256(convert_to(key, 'UTF8')),
    job_id = left(encode(sha256(
        convert_to(pipeline, 'UTF8') || '\x00'::bytea
        || convert_to(bucket, 'UTF8') || '\x00'::bytea
        || convert_to(key, 'UTF8') || '\x00'::bytea
        || convert_to(version_id, 'UTF8') || '\x00'::bytea
        || convert_to(etag, 'UTF8') || '\x00'::bytea
        || convert_to(
            to_char(last_modified AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'UTF8'
        ) || '\x00'::bytea
        || convert_to(round::text, 'UTF8')
    ), 'hex'), 32);
UPDATE pipeline.results SET run_id = job_id;
ALTER TABLE pipeline.results
ALTER COLUMN pipeline DROP DEFAULT,
ALTER COLUMN transform DROP DEFAULT,
ALTER COLUMN job_id SET NOT NULL,
ALTER COLUMN run_id SET NOT NULL,
ALTER COLUMN key_sha256 SET NOT NULL,
ADD UNIQUE (job_id);
DROP INDEX pipeline.results_pipeline_created_at_idx;
CREATE INDEX ON pipeline.results (stack, pipeline, created_at);
CREATE INDEX ON pipeline.results (stack, pipeline, key_sha256);
CREATE INDEX ON pipeline.results (run_id);
CREATE INDEX ON pipeline.results (parent_id, parent_number) WHERE parent_id IS NOT NULL;
CREATE INDEX ON pipeline.results (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX ON pipeline.results (stack, dropped_at) WHERE dropped_at IS NOT NULL;
-- One result of another pipeline is processed once; a retry of a done job is another round.
CREATE UNIQUE INDEX results_parent_key
ON pipeline.results (stack, pipeline, parent_id, parent_number, round)
WHERE outcome = 'done' AND parent_id IS NOT NULL;

-- The objects that jobs stored.
CREATE TABLE pipeline.outputs (
    job_id text NOT NULL,
    number integer NOT NULL, -- from 1
    stack text NOT NULL,
    pipeline text NOT NULL,
    run_id text NOT NULL,
    bucket text NOT NULL, -- '' in rows from before this table: the pipeline's output bucket
    key text NOT NULL,
    key_sha256 bytea NOT NULL,
    version_id text NOT NULL, -- '' where the bucket has no versions
    etag text, -- null in rows from before this table, as is the content type
    sha256 text NOT NULL,
    bytes bigint NOT NULL,
    content_type text,
    fence bigint,
    PRIMARY KEY (job_id, number)
);
CREATE INDEX ON pipeline.outputs (stack, pipeline, key_sha256);
INSERT INTO pipeline.outputs (
    job_id, number, stack, pipeline, run_id, bucket, key, key_sha256, version_id, sha256, bytes
)
SELECT
    job_id, 1, stack, pipeline, run_id, '', output_key,
    sha256(convert_to(output_key, 'UTF8')), '', output_sha256, output_bytes
FROM pipeline.results
WHERE outcome = 'done' AND output_key IS NOT NULL;

-- What `outputs` said before a job was done again: a copy of that may still wait for its reader.
CREATE TABLE pipeline.former_outputs (LIKE pipeline.outputs);
CREATE INDEX ON pipeline.former_outputs (job_id, number);
CREATE FUNCTION pipeline.keep_former_output() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.sha256 <> NEW.sha256 THEN
        INSERT INTO pipeline.former_outputs VALUES (OLD.*);
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER keep_former_output AFTER UPDATE OR DELETE ON pipeline.outputs
FOR EACH ROW EXECUTE FUNCTION pipeline.keep_former_output();

-- The rows that jobs produced; `migrate` makes a view per transform.
CREATE TABLE pipeline.records (
    job_id text NOT NULL,
    number integer NOT NULL, -- from 1
    data jsonb NOT NULL,
    PRIMARY KEY (job_id, number)
);

-- The row of a job whose results are stored, and still have to be copied to other pipelines.
CREATE TABLE pipeline.prepared_results (
    job_id text PRIMARY KEY,
    row jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The results of a run that are the input of one job, and the run's file, which names them.
CREATE TABLE pipeline.gathers (
    id text PRIMARY KEY, -- stands for the job that would have made the file
    stack text NOT NULL,
    pipeline text NOT NULL, -- which gathers
    run_id text NOT NULL,
    manifest text NOT NULL, -- the file's content
    bytes bigint NOT NULL, -- of all members
    machine text NOT NULL, -- which stores the file
    until timestamptz NOT NULL, -- when another machine may store it
    stored_at timestamptz, -- null until the file is in the input bucket
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (stack, pipeline, run_id)
);
CREATE INDEX ON pipeline.gathers (stack, pipeline) WHERE stored_at IS NULL;

-- Who works on a key. Whoever has the largest fence of a key may record and delete its uploads.
CREATE SEQUENCE pipeline.fences;
CREATE TABLE pipeline.leases (
    stack text NOT NULL,
    pipeline text NOT NULL,
    key_sha256 bytea NOT NULL,
    key text NOT NULL,
    job_id text NOT NULL,
    fence bigint NOT NULL,
    machine text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (stack, pipeline, key_sha256)
);
-- Leases that ended without a row: their machines may have stored results, or still do.
CREATE TABLE pipeline.lost_leases (
    fence bigint PRIMARY KEY,
    job_id text NOT NULL,
    stack text NOT NULL,
    pipeline text NOT NULL,
    machine text NOT NULL,
    lost_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON pipeline.lost_leases (stack, pipeline);

-- Quarantined uploads that were put back.
CREATE TABLE pipeline.retries (
    job_id text PRIMARY KEY, -- the quarantined job
    stack text NOT NULL,
    pipeline text NOT NULL,
    round integer NOT NULL, -- of the job that repeats it
    run_id text NOT NULL,
    parent_id text,
    parent_number integer,
    key text NOT NULL,
    sha256 text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE pipeline.attempts RENAME COLUMN pipeline TO stack;
ALTER TABLE pipeline.attempts
ADD COLUMN pipeline text NOT NULL DEFAULT 'negatives',
ADD COLUMN job_id text, -- of round 0
ADD COLUMN attempts integer NOT NULL DEFAULT 1,
ADD COLUMN alone boolean NOT NULL DEFAULT false, -- whether nothing ran beside the last attempt
ADD COLUMN problem text, -- why the last attempt failed; null while it runs, and after a crash
ADD COLUMN failures integer NOT NULL DEFAULT 0,
ADD COLUMN failed_at timestamptz,
ADD COLUMN undeletable boolean NOT NULL DEFAULT false, -- it is the store that refuses a DELETE
DROP CONSTRAINT attempts_pkey;
UPDATE pipeline.attempts SET
    job_id = left(encode(sha256(
        convert_to(pipeline, 'UTF8') || '\x00'::bytea
        || convert_to(bucket, 'UTF8') || '\x00'::bytea
        || convert_to(key, 'UTF8') || '\x00'::bytea
        || convert_to(version_id, 'UTF8') || '\x00'::bytea
        || convert_to(etag, 'UTF8') || '\x00'::bytea
        || convert_to(
            to_char(last_modified AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'UTF8'
        ) || '\x00'::bytea
        || convert_to('0', 'UTF8')
    ), 'hex'), 32);
ALTER TABLE pipeline.attempts
ALTER COLUMN pipeline DROP DEFAULT,
ADD PRIMARY KEY (job_id);
CREATE INDEX ON pipeline.attempts (stack, pipeline, bucket);

ALTER TABLE pipeline.heartbeats RENAME COLUMN pipeline TO stack;
ALTER TABLE pipeline.heartbeats
ADD COLUMN pipeline text NOT NULL DEFAULT 'negatives',
ADD COLUMN first_pass timestamptz NOT NULL DEFAULT now(),
DROP CONSTRAINT heartbeats_pkey,
ADD PRIMARY KEY (stack, pipeline, machine);
ALTER TABLE pipeline.heartbeats ALTER COLUMN pipeline DROP DEFAULT;

-- The tutorial's view: the same columns, `pipeline` is now the pipeline's name.
CREATE OR REPLACE VIEW pipeline.log_records AS
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

-- Earlier releases set the search path for the role in all databases of the server;
-- now migrate sets it in ours.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_db_role_setting AS setting
        JOIN pg_roles AS role ON role.oid = setting.setrole
        WHERE setting.setdatabase = 0
        AND role.rolname = current_user
        AND 'search_path=pipeline, public' = any(setting.setconfig)
    ) THEN
        ALTER ROLE CURRENT_USER RESET search_path;
    END IF;
END $$;
