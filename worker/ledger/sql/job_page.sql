-- The newest recorded jobs before a place in their order, newest first. Of each pipeline and state
-- only so many rows are read. If there may be older ones, the last row has no id, but the place of
-- the oldest job that was compared. A quarantined job that was retried is only listed if `retried` is set.
WITH looked_at AS (
    SELECT r.*
    FROM unnest(%(pipelines)s::text []) AS p (name)
    CROSS JOIN unnest(%(states)s::text []) AS o (state)
    CROSS JOIN LATERAL (
        SELECT
            j.id AS place,
            j.created_at,
            j.job_id,
            j.pipeline,
            j.outcome,
            j.key,
            j.output_key,
            row_number() OVER (ORDER BY j.created_at DESC, j.id DESC) AS number
        FROM (
            SELECT n.* FROM pipeline.results AS n
            WHERE
                n.stack = %(stack)s AND n.pipeline = p.name AND n.outcome = o.state
                AND (n.created_at, n.id) < (%(before)s::timestamptz, %(place)s::bigint)
            ORDER BY n.created_at DESC, n.id DESC
            LIMIT %(depth)s
        ) AS j
    ) AS r
),

reached AS (
    SELECT
        created_at,
        place
    FROM looked_at
    WHERE number = %(depth)s
    ORDER BY created_at DESC, place DESC
    LIMIT 1
),

matching AS (
    SELECT l.* FROM looked_at AS l
    WHERE
        NOT EXISTS (SELECT FROM reached AS e WHERE (l.created_at, l.place) < (e.created_at, e.place))
        AND (
            %(like)s::text IS NULL
            OR strpos(l.key, %(like)s) > 0
            OR strpos(l.output_key, %(like)s) > 0
        )
        AND (
            %(retried)s OR l.outcome <> 'quarantined'
            OR NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = l.job_id)
        )
    ORDER BY l.created_at DESC, l.place DESC
    LIMIT %(most)s
)

SELECT
    coalesce(m.place, e.place) AS place,
    coalesce(m.created_at, e.created_at) AS created_at,
    r.job_id AS id,
    r.pipeline,
    r.outcome AS state,
    r.key,
    r.reason,
    EXISTS (
        SELECT FROM pipeline.outputs AS o
        WHERE
            (o.job_id, o.number) = (r.parent_id, r.parent_number)
            AND o.sha256 = r.input_sha256
    ) AS is_copy,
    (
        SELECT s.job_id FROM pipeline.results AS s WHERE s.retry_of = r.job_id
        ORDER BY s.id DESC LIMIT 1
    ) AS retried_by
FROM matching AS m
INNER JOIN pipeline.results AS r ON m.place = r.id
FULL JOIN reached AS e ON false
ORDER BY e.place IS NULL DESC, m.created_at DESC, m.place DESC;
