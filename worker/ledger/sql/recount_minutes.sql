-- Count again what has arrived of the minutes that have some of these numbers; of those that lack
-- some and whose messages are not purged, if there are no ranges.
UPDATE pipeline.camera_minutes AS c SET
    received = greatest(c.received, n.received)
FROM (
    SELECT
        o.ctid AS place,
        count(*) AS received
    FROM pipeline.camera_minutes AS o
    INNER JOIN pipeline.messages AS m
        ON
            (o.stack, o.camera, o.boot) = (m.stack, m.camera, m.boot)
            AND m.number BETWEEN o.first_number AND o.last_number
    WHERE
        o.stack = %(stack)s AND m.stored_at IS NOT NULL AND o.received < o.generated
        AND CASE
            WHEN %(ranges)s::jsonb IS NULL THEN o.counted_at > now() - interval '7 days'
            ELSE EXISTS (
                SELECT FROM jsonb_to_recordset(%(ranges)s::jsonb) AS r (
                    camera text, boot text, low bigint, high bigint
                )
                WHERE
                    (r.camera, r.boot) = (o.camera, o.boot)
                    AND r.low <= o.last_number AND r.high >= o.first_number
            )
        END
    GROUP BY o.ctid
) AS n
WHERE c.ctid = n.place AND n.received > c.received;
