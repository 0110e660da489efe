-- Note what cameras counted in minutes, and how much of it has arrived.
INSERT INTO pipeline.camera_minutes (
    stack, camera, boot, minute, first_number, last_number, generated, dropped, received, bytes,
    delay_median_ms, delay_p99_ms, qos, clock_offset
)
SELECT
    %(stack)s,
    c.camera,
    c.boot,
    c.minute,
    c.first_number,
    c.last_number,
    c.generated,
    c.dropped,
    (
        SELECT count(*) FROM pipeline.messages AS m
        WHERE
            (m.stack, m.camera, m.boot) = (%(stack)s, c.camera, c.boot)
            AND m.number BETWEEN c.first_number AND c.last_number AND m.stored_at IS NOT NULL
    ),
    c.bytes,
    c.delay_median_ms,
    c.delay_p99_ms,
    c.qos,
    c.clock_offset
FROM jsonb_to_recordset(%(minutes)s) AS c (
    camera text, boot text, minute timestamptz, first_number bigint, last_number bigint,
    generated bigint, dropped bigint, bytes bigint, delay_median_ms double precision,
    delay_p99_ms double precision, qos integer, clock_offset double precision
)
ON CONFLICT (stack, camera, boot, minute, first_number) DO UPDATE SET
    last_number = excluded.last_number,
    generated = excluded.generated,
    dropped = excluded.dropped,
    received = greatest(camera_minutes.received, excluded.received),
    bytes = excluded.bytes,
    delay_median_ms = excluded.delay_median_ms,
    delay_p99_ms = excluded.delay_p99_ms,
    qos = excluded.qos,
    clock_offset = greatest(camera_minutes.clock_offset, excluded.clock_offset);
