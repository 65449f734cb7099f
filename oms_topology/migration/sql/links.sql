-- How decisions about links become rows of oms_topology.meter_link.

-- name: positions
SELECT location_lng::double precision AS longitude, location_lat::double precision AS latitude
FROM public.network_substations WHERE location_lng IS NOT NULL AND location_lat IS NOT NULL
UNION ALL
SELECT location_lng::double precision, location_lat::double precision
FROM public.network_distribution_points WHERE location_lng IS NOT NULL AND location_lat IS NOT NULL
UNION ALL
SELECT location_lng::double precision, location_lat::double precision
FROM public.oms_meters WHERE location_lng IS NOT NULL AND location_lat IS NOT NULL;

-- name: found
CREATE TEMP TABLE link_found (
    meter_no integer, target_row integer, status_no integer, distance_m double precision,
    second_distance_m double precision, confidence double precision);

-- name: take_found
INSERT INTO link_decision
SELECT f.meter_no, s.name, t.target_id, CASE WHEN t.target_id IS NOT NULL THEN 'nearest' END,
       NULLIF(f.distance_m, 'NaN'), NULLIF(f.second_distance_m, 'NaN'), NULLIF(f.confidence, 'NaN')
FROM link_found f
JOIN unnest(CAST(:status_nos AS integer[]), CAST(:status_names AS text[])) AS s (no, name) ON s.no = f.status_no
LEFT JOIN link_target t ON t.row_no = f.target_row;

-- name: ruled
SELECT d.meter_no, p.longitude, p.latitude, t.longitude, t.latitude
FROM link_decision d
JOIN placement p ON p.meter_no = d.meter_no
JOIN link_target t ON t.target_id = d.target_id
WHERE d.status = 'linked' AND d.rule IN ('building', 'phone') AND d.distance_m IS NULL
  AND p.longitude IS NOT NULL AND p.latitude IS NOT NULL AND t.longitude IS NOT NULL AND t.latitude IS NOT NULL;

-- name: forget
DELETE FROM oms_topology.meter_link l
WHERE l.target_kind = :target_kind AND NOT EXISTS (SELECT FROM link_decision d WHERE d.meter_no = l.meter_no);

-- name: revise
UPDATE oms_topology.meter_link l
SET status = d.status, target_id = d.target_id, rule = d.rule, distance_m = d.distance_m,
    second_distance_m = d.second_distance_m, confidence = d.confidence, linked_at = now(),
    former_id = CASE WHEN l.target_id IS NOT NULL AND l.target_id IS DISTINCT FROM d.target_id
                     THEN COALESCE(l.former_id, l.target_id) ELSE l.former_id END
FROM link_decision d
WHERE l.target_kind = :target_kind AND l.meter_no = d.meter_no
  AND (l.status, l.target_id, l.rule, l.distance_m, l.second_distance_m, l.confidence)
      IS DISTINCT FROM (d.status, d.target_id, d.rule, d.distance_m, d.second_distance_m, d.confidence);

-- name: add
INSERT INTO oms_topology.meter_link
    (target_kind, meter_no, status, target_id, rule, distance_m, second_distance_m, confidence)
SELECT :target_kind, d.meter_no, d.status, d.target_id, d.rule, d.distance_m, d.second_distance_m, d.confidence
FROM link_decision d
WHERE NOT EXISTS (SELECT FROM oms_topology.meter_link l WHERE l.target_kind = :target_kind AND l.meter_no = d.meter_no)
ORDER BY d.meter_no;

-- name: statuses
SELECT status, COALESCE(rule, ''), count(*) FROM oms_topology.meter_link
WHERE target_kind = :target_kind GROUP BY 1, 2 ORDER BY 1, 2;
