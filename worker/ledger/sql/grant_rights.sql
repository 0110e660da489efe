-- Grant the worker's role its rights and no others; let the owner find log_records unqualified.
REVOKE ALL ON ALL TABLES IN SCHEMA pipeline FROM {worker};
GRANT USAGE ON SCHEMA pipeline TO {worker};
GRANT SELECT, INSERT, UPDATE, DELETE
ON
pipeline.results, pipeline.outputs, pipeline.records, pipeline.prepared_results,
pipeline.gathers, pipeline.attempts, pipeline.leases, pipeline.lost_leases, pipeline.retries,
pipeline.heartbeats, pipeline.uploads, pipeline.messages, pipeline.camera_minutes,
pipeline.listers, pipeline.assignments,
pipeline.procrastinate_jobs, pipeline.procrastinate_workers
TO {worker};
GRANT SELECT, INSERT ON pipeline.former_outputs TO {worker};
-- What the triggers of procrastinate_jobs do; the worker has no periodic tasks.
GRANT INSERT ON pipeline.procrastinate_events TO {worker};
GRANT SELECT (job_id), UPDATE (job_id) ON pipeline.procrastinate_periodic_defers TO {worker};
GRANT USAGE ON SEQUENCE
pipeline.fences, pipeline.procrastinate_jobs_id_seq, pipeline.procrastinate_events_id_seq
TO {worker};
GRANT SELECT ON pipeline.log_records TO {worker};
ALTER ROLE CURRENT_USER IN DATABASE {database} SET search_path = pipeline, public;
