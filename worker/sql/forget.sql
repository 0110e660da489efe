-- End an attempt that says nothing against the file.
DELETE FROM pipeline.attempts
WHERE
    (pipeline, bucket, key, version_id, etag, last_modified)
    = (%(pipeline)s, %(bucket)s, %(key)s, %(version_id)s, %(etag)s, %(last_modified)s);
