-- Remove files whose objects could not be stored.
DELETE FROM pipeline.uploads WHERE stack = %(stack)s AND token = ANY(%(tokens)s);
