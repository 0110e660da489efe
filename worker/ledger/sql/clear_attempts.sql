-- Remove the attempts of jobs that did not crash.
DELETE FROM pipeline.attempts WHERE job_id = any(%(ids)s);
