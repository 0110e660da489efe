-- Uploads whose last attempt did not end: a worker or a transform died over them.
SELECT key, version_id, etag, last_modified, crashes FROM pipeline.attempts
WHERE pipeline = %(pipeline)s AND bucket = %(bucket)s;
