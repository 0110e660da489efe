-- Add files that came over HTTP, before their objects are stored.
INSERT INTO pipeline.uploads (
    token, batch, number, stack, pipeline, key, key_sha256, sha256, bytes
)
SELECT
    u.token, u.batch, u.number, %(stack)s, u.pipeline, u.key, sha256(convert_to(u.key, 'UTF8')),
    u.sha256, u.bytes
FROM jsonb_to_recordset(%(uploads)s) AS u (
    token text, batch text, number integer, pipeline text, key text, sha256 text, bytes bigint
);
