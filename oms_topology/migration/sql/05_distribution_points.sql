-- Step 5, first part: the distribution point of each meter that nobody linked to one: the only one of its building,
-- else the nearest, of its feeder or substation where somebody said which these are.

-- do: where meters may be linked
CREATE TEMP TABLE placement ON COMMIT DROP AS SELECT * FROM oms_topology.explicit_placement;
CREATE TEMP TABLE link_decision (
    meter_no integer, status text, target_id uuid, rule text, distance_m double precision,
    second_distance_m double precision, confidence double precision) ON COMMIT DROP;
CREATE TEMP TABLE link_target ON COMMIT DROP AS
SELECT (row_number() OVER (ORDER BY d.dp_id COLLATE "C") - 1)::integer AS row_no, d.id AS target_id, d.dp_id AS code,
       d.location_lng::double precision AS longitude, d.location_lat::double precision AS latitude,
       d.feeder_id, f.substation_id, upper(btrim(d.building_id)) AS building
FROM public.network_distribution_points d
JOIN public.network_feeders f ON f.id = d.feeder_id
WHERE COALESCE(d.status, 'active') = 'active';
ANALYZE placement;
ANALYZE link_target;

-- do: by building
INSERT INTO link_decision
SELECT p.meter_no, 'linked', t.target_id, 'building'
FROM placement p
JOIN link_target t ON t.building = p.building
JOIN (SELECT building FROM link_target WHERE building <> '' GROUP BY building HAVING count(*) = 1) b ON b.building = p.building
WHERE p.dp_id IS NULL AND (p.feeder_id IS NULL OR p.feeder_id = t.feeder_id)
  AND (p.feeder_id IS NOT NULL OR p.substation_id IS NULL OR p.substation_id = t.substation_id);
ANALYZE link_decision;

-- do: what is left, by place; a meter of a known feeder or substation only within it
CREATE TEMP TABLE link_scope ON COMMIT DROP AS
SELECT id, (row_number() OVER (ORDER BY kind, code COLLATE "C"))::integer AS group_no, kind
FROM (SELECT id, feeder_id AS code, 'feeder' AS kind FROM public.network_feeders
      UNION ALL SELECT id, substation_id, 'substation' FROM public.network_substations) s;
CREATE TEMP TABLE link_target_group ON COMMIT DROP AS
SELECT t.row_no, s.group_no FROM link_target t JOIN link_scope s ON s.id IN (t.feeder_id, t.substation_id);
CREATE TEMP TABLE link_point ON COMMIT DROP AS
SELECT p.meter_no, p.longitude, p.latitude, s.group_no
FROM placement p
LEFT JOIN link_scope s ON s.id = COALESCE(p.feeder_id, p.substation_id)
WHERE p.dp_id IS NULL AND NOT EXISTS (SELECT FROM link_decision d WHERE d.meter_no = p.meter_no);
