-- Add the rows of done jobs that results describe; rows that are there stay as they are.
-- `source` has the result's row in `outputs` besides. The ids of the jobs that were added are
-- returned.
WITH found AS (
    SELECT
        e AS source,
        r AS result,
        r.*
    FROM jsonb_array_elements(%(rows)s) AS e
    CROSS JOIN LATERAL jsonb_populate_record(
        null::pipeline.results, e || jsonb_build_object('stack', %(stack)s::text, 'rebuilt_at', now())
    ) AS r
),

unknown AS (
    SELECT f.* FROM found AS f
    WHERE
        NOT EXISTS (
            SELECT FROM pipeline.results AS k
            WHERE k.job_id = f.job_id AND k.rebuilt_at IS NULL
        )
        -- A result without a job in its metadata may be of a job that has a row.
        AND (
            f.fence IS NOT NULL OR NOT EXISTS (
                SELECT FROM pipeline.outputs AS o
                WHERE
                    o.stack = f.stack AND o.pipeline = f.pipeline
                    AND o.key_sha256 = sha256(convert_to(f.source #>> '{output, key}', 'UTF8'))
                    AND o.sha256 = f.source #>> '{output, sha256}'
            )
        )
),

added AS (
    INSERT INTO pipeline.results OVERRIDING USER VALUE
    SELECT (f.result).* FROM unknown AS f
    ORDER BY f.fence DESC NULLS LAST
    ON CONFLICT DO NOTHING
    RETURNING job_id
),

put_outputs AS (
    INSERT INTO pipeline.outputs
    SELECT o.*
    FROM unknown AS f
    CROSS JOIN LATERAL jsonb_populate_record(
        null::pipeline.outputs,
        (f.source -> 'output') || jsonb_build_object('stack', %(stack)s::text)
    ) AS o
    WHERE
        f.job_id IN (SELECT a.job_id FROM added AS a)
        OR EXISTS (SELECT FROM pipeline.results AS k WHERE k.job_id = f.job_id)
    ORDER BY f.fence DESC NULLS LAST
    ON CONFLICT DO NOTHING
)

SELECT job_id FROM added;
