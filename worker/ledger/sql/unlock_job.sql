-- Let others retry or drop this job again.
SELECT pg_advisory_unlock(hashtextextended(%(id)s, 0));
