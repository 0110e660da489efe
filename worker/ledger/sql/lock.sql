-- One migration at a time in this database; held until the session ends.
SELECT pg_advisory_lock(hashtext('pipeline.migrations'));
