-- Add gathers, and take over those whose files are not stored: all of these are returned.
WITH added AS (
    INSERT INTO pipeline.gathers (id, stack, pipeline, run_id, manifest, bytes, machine, until)
    SELECT
        a.id, %(stack)s, %(pipeline)s, a.run_id, a.manifest, a.bytes, %(machine)s,
        now() + interval '30 seconds'
    FROM jsonb_to_recordset(%(gathers)s) AS a (id text, run_id text, manifest text, bytes bigint)
    ON CONFLICT (stack, pipeline, run_id) DO NOTHING
    RETURNING manifest
),

taken_over AS (
    UPDATE pipeline.gathers AS g SET
        machine = %(machine)s, until = now() + interval '30 seconds'
    WHERE
        g.stack = %(stack)s AND g.pipeline = %(pipeline)s AND g.stored_at IS NULL
        AND (g.machine = %(machine)s OR g.until < now())
    RETURNING manifest
)

SELECT manifest FROM added
UNION ALL
SELECT manifest FROM taken_over;
