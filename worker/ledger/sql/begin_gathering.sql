-- Note when a machine begins to gather for a pipeline, before its first heartbeat.
INSERT INTO pipeline.heartbeats (stack, pipeline, machine, last_pass)
VALUES (%(stack)s, %(pipeline)s, %(machine)s, now())
ON CONFLICT (stack, pipeline, machine) DO NOTHING;
