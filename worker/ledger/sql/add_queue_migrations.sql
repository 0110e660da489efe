-- Mark migrations of procrastinate as applied.
INSERT INTO pipeline.queue_migrations (name) SELECT unnest(%(names)s::text []);
