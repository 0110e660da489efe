-- Those of some jobs that are recorded.
SELECT job_id AS id FROM pipeline.results
WHERE stack = %(stack)s AND job_id = any(%(ids)s::text []);
