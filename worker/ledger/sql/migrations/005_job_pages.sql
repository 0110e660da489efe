-- Pages of jobs of one state, newest first, and counts by state, without reading other jobs.
CREATE INDEX ON pipeline.results (stack, pipeline, outcome, created_at, id);
