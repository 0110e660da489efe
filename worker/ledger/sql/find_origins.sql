-- Where uploads come from that claim to be put back by a retry, copied from another pipeline, the
-- file of a run, or a camera's message. A message begins a run of its own: its run is null.
-- Anybody can write such metadata: it counts only if a row has the same content.
-- `successor` is a job that was recorded for the same origin, or the retried job if it was dropped.
WITH claims AS (
    SELECT * FROM jsonb_to_recordset(%(claims)s) AS c (
        claim integer, key text, sha256 text, retry text, parent text, number integer
    )
)

SELECT
    c.claim,
    t.round,
    t.run_id,
    t.parent_id,
    t.parent_number,
    t.job_id AS retry_of,
    (
        SELECT r.job_id FROM pipeline.results AS r
        WHERE r.retry_of = t.job_id OR (r.job_id = t.job_id AND r.outcome = 'dropped')
        LIMIT 1
    ) AS successor
FROM claims AS c
INNER JOIN pipeline.retries AS t ON c.retry = t.job_id AND c.key = t.key AND c.sha256 = t.sha256
WHERE t.stack = %(stack)s AND t.pipeline = %(pipeline)s
UNION ALL
SELECT
    c.claim,
    0 AS round,
    o.run_id,
    o.job_id AS parent_id,
    o.number AS parent_number,
    NULL AS retry_of,
    (
        SELECT r.job_id FROM pipeline.results AS r
        WHERE
            r.parent_id = o.job_id AND r.parent_number = o.number AND r.round = 0
            AND r.stack = %(stack)s AND r.pipeline = %(pipeline)s
        LIMIT 1
    ) AS successor
FROM claims AS c
INNER JOIN (
    SELECT job_id, number, stack, pipeline, run_id, sha256 FROM pipeline.outputs
    UNION
    SELECT job_id, number, stack, pipeline, run_id, sha256 FROM pipeline.former_outputs
) AS o
    ON c.parent = o.job_id AND c.number = o.number AND c.sha256 = o.sha256
WHERE o.stack = %(stack)s AND o.pipeline = any(%(sources)s)
UNION ALL
SELECT
    c.claim,
    0 AS round,
    g.run_id,
    g.id AS parent_id,
    1 AS parent_number,
    NULL AS retry_of,
    (
        SELECT r.job_id FROM pipeline.results AS r
        WHERE
            r.parent_id = g.id AND r.parent_number = 1 AND r.round = 0
            AND r.stack = %(stack)s AND r.pipeline = %(pipeline)s
        LIMIT 1
    ) AS successor
FROM claims AS c
INNER JOIN pipeline.gathers AS g
    ON
        c.parent = g.id AND c.number = 1
        AND c.sha256 = encode(sha256(convert_to(g.manifest, 'UTF8')), 'hex')
WHERE g.stack = %(stack)s AND g.pipeline = %(pipeline)s
UNION ALL
SELECT
    c.claim,
    0 AS round,
    NULL AS run_id,
    m.id AS parent_id,
    1 AS parent_number,
    NULL AS retry_of,
    (
        SELECT r.job_id FROM pipeline.results AS r
        WHERE
            r.parent_id = m.id AND r.parent_number = 1 AND r.round = 0
            AND r.stack = %(stack)s AND r.pipeline = %(pipeline)s
        LIMIT 1
    ) AS successor
FROM claims AS c
INNER JOIN pipeline.messages AS m ON c.parent = m.id AND c.number = 1 AND c.sha256 = m.sha256
WHERE m.stack = %(stack)s AND m.pipeline = %(pipeline)s;
