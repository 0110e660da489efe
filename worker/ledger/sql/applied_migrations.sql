-- Versions of the migrations that were applied.
SELECT version FROM pipeline.migrations;
