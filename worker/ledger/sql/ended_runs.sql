-- Runs with results to gather that have changed lately, or since the pipeline's first pass, and have
-- no gather. Those that certainly still have something to do upstream are left out;
-- worker/jobs/run_progress.py decides.
WITH since AS (
    SELECT
        greatest(
            now() - make_interval(secs => %(seconds)s),
            (
                SELECT min(h.first_pass) FROM pipeline.heartbeats AS h
                WHERE h.stack = %(stack)s AND h.pipeline = %(pipeline)s
            )
        ) AS moment
),

changed AS (
    SELECT r.run_id FROM pipeline.results AS r
    WHERE
        r.stack = %(stack)s AND r.pipeline = any(%(upstream)s)
        AND r.created_at >= (SELECT s.moment FROM since AS s)
    UNION
    SELECT r.run_id FROM pipeline.results AS r
    WHERE
        r.stack = %(stack)s AND r.pipeline = any(%(upstream)s)
        AND r.dropped_at >= (SELECT s.moment FROM since AS s)
)

SELECT c.run_id
FROM changed AS c
WHERE
    NOT EXISTS (
        SELECT FROM pipeline.gathers AS g
        WHERE (g.stack, g.pipeline, g.run_id) = (%(stack)s, %(pipeline)s, c.run_id)
    )
    AND EXISTS (
        SELECT FROM pipeline.results AS r INNER JOIN pipeline.outputs AS o USING (job_id)
        WHERE
            r.run_id = c.run_id AND r.stack = %(stack)s AND r.pipeline = any(%(sources)s)
            AND r.outcome = 'done'
    )
    AND NOT EXISTS (
        SELECT FROM pipeline.results AS r
        WHERE
            r.run_id = c.run_id AND r.stack = %(stack)s AND r.pipeline = any(%(upstream)s)
            AND r.outcome = 'quarantined'
            AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
    )
    AND NOT EXISTS (
        SELECT FROM pipeline.results AS r
        INNER JOIN pipeline.outputs AS o USING (job_id)
        INNER JOIN unnest(%(edge_sources)s::text [], %(edge_readers)s::text []) AS e (source, reader)
            ON r.pipeline = e.source
        WHERE
            r.run_id = c.run_id AND r.stack = %(stack)s AND r.outcome = 'done'
            AND NOT EXISTS (SELECT FROM pipeline.results AS s WHERE s.retry_of = r.job_id)
            AND NOT EXISTS (
                SELECT FROM pipeline.results AS k
                WHERE
                    (k.parent_id, k.parent_number) = (o.job_id, o.number)
                    AND k.stack = %(stack)s AND k.pipeline = e.reader
            )
    )
ORDER BY c.run_id;
