-- Delete tasks that a machine gives back: their keys are assigned to nobody.
DELETE FROM pipeline.procrastinate_jobs WHERE id = any(%(ids)s);
