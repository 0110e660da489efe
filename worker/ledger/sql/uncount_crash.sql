-- Undo the crash count of an attempt; the upload still runs alone.
UPDATE pipeline.attempts SET crashes = greatest(crashes - 1, 0) WHERE job_id = %(id)s;
