-- Gathers by their ids.
SELECT
    id,
    manifest
FROM pipeline.gathers
WHERE stack = %(stack)s AND pipeline = %(pipeline)s AND id = any(%(ids)s);
