-- Note that the files of gathers are stored.
UPDATE pipeline.gathers SET stored_at = now()
WHERE id = any(%(ids)s) AND stored_at IS NULL;
