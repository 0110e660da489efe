-- What cameras counted during the last hour, and how much of it has arrived.
SELECT
    k.name AS camera,
    coalesce(sum(c.generated), 0)::bigint AS generated,
    coalesce(sum(c.received), 0)::bigint AS received,
    coalesce(sum(c.dropped), 0)::bigint AS dropped,
    coalesce(sum(c.bytes), 0)::bigint AS bytes,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY c.delay_median_ms) AS delay_median_ms,
    max(c.delay_p99_ms) AS delay_p99_ms,
    coalesce(min(c.qos), 1) AS qos,
    -- A message that waited makes a clock look slow: the one that waited least is right.
    max(c.clock_offset) AS clock_offset,
    (
        SELECT
            to_char(
                max(m.counted_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'
            )
        FROM pipeline.camera_minutes AS m
        WHERE m.stack = %(stack)s AND m.camera = k.name
    ) AS last_counted,
    (
        SELECT count(*) FROM pipeline.messages AS m
        WHERE
            m.stack = %(stack)s AND m.camera = k.name AND m.stored_at IS NOT NULL
            AND m.created_at > now() - interval '1 hour'
    ) AS stored
FROM unnest(%(cameras)s::text []) AS k (name)
LEFT JOIN pipeline.camera_minutes AS c
    ON c.stack = %(stack)s AND k.name = c.camera AND c.counted_at > now() - interval '1 hour'
GROUP BY k.name
ORDER BY k.name;
