-- Machines can be placed on a host once Nova's scheduler has found it.
SELECT host FROM nova_api.host_mappings;
