-- Delete the tasks of a pipeline's queue that no machine has begun.
DELETE FROM pipeline.procrastinate_jobs WHERE queue_name = %(queue)s AND status = 'todo';
