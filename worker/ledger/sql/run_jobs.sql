-- All recorded jobs of a run.
SELECT job_id AS id, pipeline, key, outcome AS state, parent_id, parent_number
FROM pipeline.results
WHERE stack = %(stack)s AND run_id = %(run)s
ORDER BY parent_number, pipeline, id;
