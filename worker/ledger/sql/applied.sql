-- The numbers of the migrations applied.
SELECT version FROM pipeline.migrations;
