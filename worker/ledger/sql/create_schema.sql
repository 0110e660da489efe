-- Create the schema and the tables of applied migrations unless they exist.
CREATE SCHEMA IF NOT EXISTS pipeline;
CREATE TABLE IF NOT EXISTS pipeline.migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS pipeline.queue_migrations ( -- procrastinate's
    name text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);
