-- Several machines share a pipeline's work.
ALTER TABLE pipeline.heartbeats
ADD COLUMN live boolean NOT NULL DEFAULT false; -- the pass goes on, and waits for uploads

-- Which machine lists a pipeline's input bucket.
CREATE TABLE pipeline.listers (
    stack text NOT NULL,
    pipeline text NOT NULL,
    machine text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (stack, pipeline)
);

-- Keys that a task of procrastinate holds. The rows go with their task.
CREATE TABLE pipeline.assignments (
    stack text NOT NULL,
    pipeline text NOT NULL,
    key_sha256 bytea NOT NULL, -- of the key
    task_id bigint NOT NULL REFERENCES pipeline.procrastinate_jobs ON DELETE CASCADE,
    slow boolean NOT NULL, -- may keep a thread for long
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (stack, pipeline, key_sha256)
);
CREATE INDEX ON pipeline.assignments (task_id);
