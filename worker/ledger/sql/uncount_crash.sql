-- Undo the crash count of an attempt; the upload still runs alone.
UPDATE pipeline.attempts SET crashes = greatest(crashes - 1, 0)
WHERE
    (pipeline, bucket, key, version_id, etag, last_modified)
    = (%(pipeline)s, %(bucket)s, %(key)s, %(version_id)s, %(etag)s, %(last_modified)s);
