-- Create the view of a transform's records, with the uploads that they were made from, and with the
-- key of the result that a record is about: the one whose number it has as `result`.
CREATE OR REPLACE VIEW {view} AS
SELECT
    r.pipeline,
    r.created_at,
    r.key,
    r.run_id,
    d.job_id,
    d.number,
    {columns}
    o.key AS result_key,
    d.data
FROM pipeline.records AS d
INNER JOIN pipeline.results AS r USING (job_id)
LEFT JOIN pipeline.outputs AS o
    ON
        d.job_id = o.job_id
        AND CASE
            WHEN jsonb_typeof(d.data -> 'result') = 'number' THEN (d.data ->> 'result')::numeric
        END = o.number
WHERE r.transform = ANY({transforms});
GRANT SELECT ON {view} TO {worker};
