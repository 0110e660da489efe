-- Machines whose passes for a pipeline go on.
SELECT machine FROM pipeline.heartbeats
WHERE
    stack = %(stack)s AND pipeline = %(pipeline)s
    AND live AND last_pass > now() - interval '30 seconds'
ORDER BY machine;
