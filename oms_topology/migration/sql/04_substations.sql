-- Step 4: the substation of each meter that nobody linked: its feeder's, else the nearest. Links of step 5, by
-- which a meter has the substation of its feeder, stand until step 5 judges them again.

-- do: where meters may be linked
CREATE TEMP TABLE placement ON COMMIT DROP AS SELECT * FROM oms_topology.explicit_placement;
CREATE TEMP TABLE link_decision (
    meter_no integer, status text, target_id uuid, rule text, distance_m double precision,
    second_distance_m double precision, confidence double precision) ON COMMIT DROP;
CREATE TEMP TABLE link_target ON COMMIT DROP AS
SELECT (row_number() OVER (ORDER BY substation_id COLLATE "C") - 1)::integer AS row_no, id AS target_id, substation_id AS code,
       location_lng::double precision AS longitude, location_lat::double precision AS latitude
FROM public.network_substations WHERE COALESCE(status, 'active') = 'active';

-- do: by the feeder, or the feeder of the distribution point
INSERT INTO link_decision
SELECT p.meter_no, 'linked', f.substation_id, 'feeder'
FROM placement p
LEFT JOIN public.network_distribution_points d ON d.id = p.dp_id
JOIN public.network_feeders f ON f.id = COALESCE(p.feeder_id, d.feeder_id)
WHERE p.substation_id IS NULL;

-- do: what is left, by place
CREATE TEMP TABLE link_point ON COMMIT DROP AS
SELECT p.meter_no, p.longitude, p.latitude, NULL::integer AS group_no
FROM placement p
WHERE p.substation_id IS NULL AND p.feeder_id IS NULL AND p.dp_id IS NULL
  AND NOT EXISTS (
      SELECT FROM oms_topology.meter_link s
      JOIN oms_topology.meter_link l ON l.target_kind = 'feeder' AND l.meter_no = s.meter_no AND l.status = 'linked'
      JOIN public.network_feeders f ON f.id = l.target_id AND f.substation_id = s.target_id
      WHERE s.target_kind = 'substation' AND s.meter_no = p.meter_no AND s.rule = 'feeder');
INSERT INTO link_decision
SELECT l.meter_no, l.status, l.target_id, l.rule, l.distance_m, l.second_distance_m, l.confidence
FROM oms_topology.meter_link l
JOIN placement p ON p.meter_no = l.meter_no
WHERE l.target_kind = 'substation' AND p.substation_id IS NULL AND p.feeder_id IS NULL AND p.dp_id IS NULL
  AND NOT EXISTS (SELECT FROM link_point q WHERE q.meter_no = l.meter_no);
