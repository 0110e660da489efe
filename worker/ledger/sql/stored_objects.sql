-- How many objects each pipeline has stored, as far as rows say: results, quarantined uploads, and
-- inputs of done jobs.
SELECT
    p.name AS pipeline,
    (
        SELECT count(*) FROM pipeline.outputs AS o
        WHERE o.stack = %(stack)s AND o.pipeline = p.name
    ) AS results,
    (
        SELECT count(*) FROM pipeline.results AS r
        WHERE r.stack = %(stack)s AND r.pipeline = p.name AND r.outcome = 'quarantined'
    ) AS quarantined,
    (
        SELECT count(*) FROM pipeline.results AS r
        WHERE r.stack = %(stack)s AND r.pipeline = p.name AND r.outcome = 'done'
    ) AS done
FROM unnest(%(pipelines)s::text []) AS p (name);
