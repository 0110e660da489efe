-- Create the view of a transform's records, with the uploads that they were made from.
CREATE OR REPLACE VIEW {view} AS
SELECT
    r.pipeline,
    r.created_at,
    r.key,
    r.run_id,
    d.job_id,
    d.number,
    {columns}
    d.data
FROM pipeline.records AS d
INNER JOIN pipeline.results AS r USING (job_id)
WHERE r.transform = ANY({transforms});
GRANT SELECT ON {view} TO {worker};
