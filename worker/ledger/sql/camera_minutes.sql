-- The minutes that a camera counted last, oldest first.
SELECT *
FROM (
    SELECT
        c.boot,
        to_char(c.minute AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') AS "minute",
        to_char(c.counted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS counted_at,
        c.generated,
        c.received,
        c.dropped,
        c.bytes,
        c.delay_median_ms,
        c.delay_p99_ms,
        c.qos,
        c.clock_offset
    FROM pipeline.camera_minutes AS c
    WHERE c.stack = %(stack)s AND c.camera = %(camera)s
    ORDER BY c.counted_at DESC, c.minute DESC
    LIMIT %(last)s
) AS n
ORDER BY n.counted_at, n.minute;
