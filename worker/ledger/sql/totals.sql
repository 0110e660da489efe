-- Counts of results, results per minute over the last ten minutes, and the latest error.
SELECT
    count(*) FILTER (WHERE outcome = 'done') AS done,
    count(*) FILTER (WHERE outcome = 'quarantined') AS quarantined,
    count(*) FILTER (WHERE created_at > now() - interval '10 minutes')
    / 10.0::double precision AS rate,
    (
        SELECT e.error FROM (
            SELECT
                last_error_at AS happened,
                last_error AS error
            FROM pipeline.heartbeats
            WHERE stack = %(stack)s AND pipeline = %(pipeline)s AND last_error IS NOT NULL
            UNION ALL
            SELECT
                r.created_at,
                r.key || ': ' || r.reason
            FROM pipeline.results AS r
            WHERE r.stack = %(stack)s AND r.pipeline = %(pipeline)s AND r.outcome = 'quarantined'
        ) AS e
        ORDER BY e.happened DESC
        LIMIT 1
    ) AS last_error
FROM pipeline.results
WHERE stack = %(stack)s AND pipeline = %(pipeline)s;
