-- Corrects the paths and ports that the snapshot has from another folder.
UPDATE keystone.endpoint SET url = CASE (
    SELECT type FROM keystone.service WHERE service.id = endpoint.service_id)
    WHEN 'identity' THEN '$auth_url'
    WHEN 'image' THEN 'http://127.0.0.1:$port_glance'
    WHEN 'placement' THEN 'http://127.0.0.1:$port_placement'
    WHEN 'compute' THEN 'http://127.0.0.1:$port_nova/v2.1'
    WHEN 'network' THEN 'http://127.0.0.1:$port_neutron'
    ELSE url END;
UPDATE keystone_database.endpoint SET url = CASE (
    SELECT type FROM keystone_database.service WHERE service.id = endpoint.service_id)
    WHEN 'identity' THEN '$database_auth_url'
    WHEN 'database' THEN 'http://127.0.0.1:$port_trove/v1.0/$$(project_id)s'
    ELSE url END;
UPDATE glance.image_locations SET value = CONCAT('file://$state/images/', image_id);
