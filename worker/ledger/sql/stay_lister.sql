-- Check that this machine is the lister, and remain it until the transaction ends.
UPDATE pipeline.listers SET until = now() + make_interval(secs => %(lister_seconds)s)
WHERE
    (stack, pipeline, machine) = (%(stack)s, %(pipeline)s, %(machine)s) AND until > now()
RETURNING machine;
