-- Names of procrastinate's migrations that were applied.
SELECT name FROM pipeline.queue_migrations;
