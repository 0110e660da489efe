-- Attempts that did not end: the worker or the transform died while it processed the upload.
SELECT key, version_id, etag, last_modified, crashes FROM pipeline.attempts
WHERE stack = %(stack)s AND pipeline = %(pipeline)s AND bucket = %(bucket)s;
