-- Mark messages of the last day that became jobs; return the others that are not marked: the
-- service was killed before their objects were stored, or before it noted that.
WITH unmarked AS (
    SELECT
        m.*,
        EXISTS (
            SELECT FROM pipeline.results AS r
            WHERE r.parent_id = m.id AND r.parent_number = 1 AND r.stack = %(stack)s
        ) AS is_job
    FROM pipeline.messages AS m
    WHERE
        m.stack = %(stack)s AND m.stored_at IS NULL AND m.created_at > now() - interval '1 day'
),

marked AS (
    UPDATE pipeline.messages AS m SET stored_at = now()
    FROM unmarked AS u
    WHERE m.id = u.id AND u.is_job
)

SELECT
    id,
    pipeline,
    camera,
    boot,
    number,
    key,
    sha256,
    bytes
FROM unmarked
WHERE NOT is_job;
