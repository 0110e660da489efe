-- Remove attempts that did not crash, or whose uploads are gone.
DELETE FROM pipeline.attempts
WHERE job_id = any(%(ids)s) AND NOT (%(keep_undeletable)s AND undeletable);
