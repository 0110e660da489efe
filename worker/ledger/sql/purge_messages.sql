-- Delete messages of more than a week ago that became jobs, others after three months, and minutes
-- after a year. Repeated often: a statement must end soon.
WITH minutes AS (
    DELETE FROM pipeline.camera_minutes
    WHERE stack = %(stack)s AND counted_at < now() - interval '1 year'
)

DELETE FROM pipeline.messages
WHERE id IN (
    SELECT m.id FROM pipeline.messages AS m
    WHERE
        m.stack = %(stack)s AND m.created_at < now() - interval '7 days'
        AND (
            m.created_at < now() - interval '90 days'
            OR EXISTS (
                SELECT FROM pipeline.results AS r
                WHERE r.parent_id = m.id AND r.parent_number = 1 AND r.stack = %(stack)s
            )
        )
    LIMIT 20000
);
