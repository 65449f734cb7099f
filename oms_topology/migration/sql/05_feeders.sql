-- Step 5, second part: the feeder of each meter that nobody linked to one: that of its distribution point, else the
-- nearest of its substation; and then the substation is the feeder's.

-- do: what the first part left
TRUNCATE link_decision;
DROP TABLE link_target, link_target_group, link_point;

-- do: by distribution point
INSERT INTO link_decision
SELECT p.meter_no, 'linked', d.feeder_id, 'distribution_point', NULL, NULL, l.confidence
FROM placement p
LEFT JOIN oms_topology.meter_link l ON l.target_kind = 'distribution_point' AND l.meter_no = p.meter_no AND p.dp_id IS NULL
JOIN public.network_distribution_points d ON d.id = COALESCE(p.dp_id, l.target_id)
JOIN public.network_feeders f ON f.id = d.feeder_id
WHERE p.feeder_id IS NULL AND (p.substation_id IS NULL OR p.substation_id = f.substation_id);
ANALYZE link_decision;

-- do: what is left, by place, within the substation
CREATE TEMP TABLE link_target ON COMMIT DROP AS
SELECT (row_number() OVER (ORDER BY f.feeder_id COLLATE "C") - 1)::integer AS row_no, f.id AS target_id, f.feeder_id AS code,
       CASE WHEN f.location_lat IS NULL OR f.location_lng IS NULL THEN l.longitude ELSE f.location_lng END::double precision AS longitude,
       CASE WHEN f.location_lat IS NULL OR f.location_lng IS NULL THEN l.latitude ELSE f.location_lat END::double precision AS latitude,
       f.substation_id
FROM public.network_feeders f
LEFT JOIN LATERAL (SELECT longitudes[1] AS longitude, latitudes[1] AS latitude FROM oms_topology.feeder_line
                   WHERE feeder_id = f.id ORDER BY line_no LIMIT 1) l ON true
WHERE COALESCE(f.status, 'active') = 'active';
CREATE TEMP TABLE link_target_group ON COMMIT DROP AS
SELECT t.row_no, s.group_no FROM link_target t JOIN link_scope s ON s.id = t.substation_id;
CREATE TEMP TABLE link_point ON COMMIT DROP AS
SELECT p.meter_no, p.longitude, p.latitude, s.group_no
FROM placement p
LEFT JOIN oms_topology.meter_link l
    ON l.target_kind = 'substation' AND l.meter_no = p.meter_no AND p.substation_id IS NULL AND l.status = 'linked'
JOIN link_scope s ON s.kind = 'substation' AND s.id = COALESCE(p.substation_id, l.target_id)
WHERE p.feeder_id IS NULL AND NOT EXISTS (SELECT FROM link_decision d WHERE d.meter_no = p.meter_no);

-- do: and those of no substation
INSERT INTO link_decision
SELECT p.meter_no, 'no_candidate'
FROM placement p
WHERE p.feeder_id IS NULL
  AND NOT EXISTS (SELECT FROM link_decision d WHERE d.meter_no = p.meter_no)
  AND NOT EXISTS (SELECT FROM link_point q WHERE q.meter_no = p.meter_no);
