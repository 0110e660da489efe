-- One object that a job stored.
SELECT number, bucket, key, version_id, sha256, bytes, content_type, pipeline FROM pipeline.outputs
WHERE stack = %(stack)s AND job_id = %(id)s AND number = %(number)s;
