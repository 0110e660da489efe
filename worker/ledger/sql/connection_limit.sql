-- Return how many sessions the worker's role may have at a time: of the server, the database and
-- the role, the smallest limit. -1 stands for none.
SELECT
    least(
        current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer
        - coalesce(current_setting('reserved_connections', true)::integer, 0), -- since 16
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()),
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)
    ) AS sessions;
