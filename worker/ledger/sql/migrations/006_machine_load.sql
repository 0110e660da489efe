-- How busy a machine was at its last heartbeat that says so; null if an earlier worker wrote it.
ALTER TABLE pipeline.heartbeats
ADD COLUMN cores integer,
ADD COLUMN cpu double precision, -- fraction of all cores
ADD COLUMN memory_used bigint, -- bytes, without caches
ADD COLUMN memory_total bigint;
