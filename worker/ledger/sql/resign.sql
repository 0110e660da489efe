-- Let another machine become the lister.
DELETE FROM pipeline.listers
WHERE (stack, pipeline, machine) = (%(stack)s, %(pipeline)s, %(machine)s);
