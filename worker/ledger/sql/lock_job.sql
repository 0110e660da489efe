-- Let nobody else retry or drop this job; until unlock_job, or the end of the session.
SELECT pg_advisory_lock(hashtextextended(%(id)s, 0));
