-- Note messages that arrived, and which are stored; return what was known of the arrived ones.
-- What became a job is known for good: `results` has it when the message's own row is purged.
WITH arrived AS (
    SELECT * FROM jsonb_to_recordset(%(arrived)s) AS a (
        id text, pipeline text, camera text, boot text, number bigint, key text, sha256 text,
        bytes bigint
    )
),

jobs AS (
    SELECT DISTINCT ON (a.id)
        a.id,
        r.pipeline,
        r.input_sha256
    FROM arrived AS a
    INNER JOIN pipeline.results AS r ON a.id = r.parent_id AND r.parent_number = 1
    WHERE r.stack = %(stack)s
),

marked AS (
    UPDATE pipeline.messages AS m SET stored_at = now()
    WHERE
        (m.id = any(%(stored)s) OR m.id IN (SELECT j.id FROM jobs AS j)) AND m.stored_at IS NULL
),

added AS (
    INSERT INTO pipeline.messages (id, stack, pipeline, camera, boot, number, key, sha256, bytes)
    SELECT a.id, %(stack)s, a.pipeline, a.camera, a.boot, a.number, a.key, a.sha256, a.bytes
    FROM arrived AS a
    WHERE NOT EXISTS (SELECT FROM jobs AS j WHERE j.id = a.id)
    ON CONFLICT (id) DO NOTHING
)

SELECT
    a.id,
    coalesce(m.pipeline, j.pipeline) AS pipeline,
    coalesce(m.sha256, j.input_sha256) AS sha256,
    m.stored_at IS NOT NULL OR j.id IS NOT NULL AS is_stored
FROM arrived AS a
LEFT JOIN pipeline.messages AS m ON a.id = m.id
LEFT JOIN jobs AS j ON a.id = j.id
WHERE m.id IS NOT NULL OR j.id IS NOT NULL;
