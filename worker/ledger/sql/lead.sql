-- Become the lister of a pipeline, or stay it: another machine's lease must have ended.
INSERT INTO pipeline.listers (stack, pipeline, machine, until)
VALUES (
    %(stack)s, %(pipeline)s, %(machine)s, now() + make_interval(secs => %(lister_seconds)s)
)
ON CONFLICT (stack, pipeline) DO UPDATE SET machine = excluded.machine, until = excluded.until
WHERE listers.machine = excluded.machine OR listers.until < now()
RETURNING machine;
