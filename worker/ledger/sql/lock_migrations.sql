-- Take the lock for migrations: one at a time per database, until the session ends.
SELECT pg_advisory_lock(hashtext('pipeline.migrations'));
