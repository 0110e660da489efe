-- Uploads whose deletion the store refuses: their number in each pipeline, and the latest of them.
SELECT
    u.pipeline,
    u.key,
    u.problem AS reason,
    u.total
FROM (
    SELECT
        a.pipeline,
        a.key,
        -- Null while its deletion is tried again.
        coalesce(a.problem, 'the store refused to delete it') AS problem,
        count(*) OVER (PARTITION BY a.pipeline) AS total,
        row_number() OVER (PARTITION BY a.pipeline ORDER BY a.failed_at DESC) AS place
    FROM pipeline.attempts AS a
    WHERE a.stack = %(stack)s AND a.pipeline = any(%(pipelines)s) AND a.undeletable
) AS u
WHERE u.place <= %(most)s
ORDER BY u.pipeline, u.place;
