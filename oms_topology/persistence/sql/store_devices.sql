-- Substations, feeders and distribution points go to the contract's tables, whose triggers make their
-- devices; everything else, and what lacks the parent the contract asks for, is a device only.
ANALYZE new_device;

INSERT INTO public.network_substations (substation_id, name, location_lat, location_lng)
SELECT n.code, COALESCE(NULLIF(left(n.name, 200), ''), n.code), n.map_latitude, n.map_longitude
FROM new_device n WHERE n.kind = 'substation' ORDER BY n.row_no
ON CONFLICT (substation_id) DO UPDATE
SET name = excluded.name, location_lat = excluded.location_lat, location_lng = excluded.location_lng;

INSERT INTO public.network_feeders (feeder_id, substation_id, name, location_lat, location_lng)
SELECT n.code, s.id, COALESCE(NULLIF(left(n.name, 200), ''), n.code), n.map_latitude, n.map_longitude
FROM new_device n
JOIN new_device u ON u.row_no = n.substation_row
JOIN public.network_substations s ON s.substation_id = u.code
WHERE n.kind = 'feeder' ORDER BY n.row_no
ON CONFLICT (feeder_id) DO UPDATE
SET substation_id = excluded.substation_id, name = excluded.name,
    location_lat = excluded.location_lat, location_lng = excluded.location_lng;

INSERT INTO public.network_distribution_points (dp_id, feeder_id, name, location_lat, location_lng)
SELECT n.code, f.id, COALESCE(NULLIF(left(n.name, 200), ''), n.code), n.map_latitude, n.map_longitude
FROM new_device n
JOIN new_device u ON u.row_no = n.feeder_row
JOIN public.network_feeders f ON f.feeder_id = u.code
WHERE n.kind = 'distribution_point' ORDER BY n.row_no
ON CONFLICT (dp_id) DO UPDATE
SET feeder_id = excluded.feeder_id, name = excluded.name,
    location_lat = excluded.location_lat, location_lng = excluded.location_lng;

INSERT INTO oms_topology.device (kind, code, name, longitude, latitude)
SELECT n.kind, n.code, NULLIF(n.name, ''), n.longitude, n.latitude FROM new_device n ORDER BY n.row_no
ON CONFLICT (kind, code) DO UPDATE
SET name = excluded.name, longitude = excluded.longitude, latitude = excluded.latitude;

UPDATE new_device n SET device_no = d.device_no
FROM oms_topology.device d WHERE d.kind = n.kind AND d.code = n.code;

UPDATE oms_topology.device d
SET parent_no = p.device_no, normal_parent_no = q.device_no, parent_is_explicit = true,
    is_source = n.is_source, is_stale = true
FROM new_device n
LEFT JOIN new_device p ON p.row_no = n.parent_row
LEFT JOIN new_device q ON q.row_no = n.normal_parent_row
WHERE d.device_no = n.device_no
  AND (d.is_stale OR NOT d.parent_is_explicit
       OR (d.parent_no, d.normal_parent_no, d.is_source)
          IS DISTINCT FROM (p.device_no, q.device_no, n.is_source));
