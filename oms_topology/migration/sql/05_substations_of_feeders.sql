-- Step 5, third part: who was linked to a feeder has the feeder's substation, and no longer the nearest.

-- count: substations_by_feeder
WITH wanted AS (
    SELECT p.meter_no, f.substation_id, l.confidence
    FROM placement p
    JOIN oms_topology.meter_link l ON l.target_kind = 'feeder' AND l.meter_no = p.meter_no AND l.status = 'linked'
    JOIN public.network_feeders f ON f.id = l.target_id
    WHERE p.substation_id IS NULL
)
UPDATE oms_topology.meter_link s
SET status = 'linked', target_id = w.substation_id, rule = 'feeder', distance_m = NULL, second_distance_m = NULL,
    confidence = w.confidence, linked_at = now(),
    former_id = CASE WHEN s.target_id IS NOT NULL AND m.substation_id = s.target_id THEN s.target_id ELSE s.former_id END
FROM wanted w JOIN public.oms_meters m ON m.meter_no = w.meter_no
WHERE s.target_kind = 'substation' AND s.meter_no = w.meter_no
  AND (s.target_id IS DISTINCT FROM w.substation_id
       OR s.rule = 'feeder' AND s.confidence IS DISTINCT FROM w.confidence);

-- finding: distribution_point_of_another_feeder | Meters whose feeder, as somebody set it, is not that of their distribution point; the feeder counts, unless the point was surveyed. | Correct the one that is wrong.
SELECT m.meter_number AS id
FROM public.oms_meters m
JOIN public.network_distribution_points d ON d.id = m.dp_id
WHERE m.feeder_id <> d.feeder_id AND COALESCE(m.status, 'active') = 'active'
  AND NOT EXISTS (SELECT FROM oms_topology.meter_link l
                  WHERE l.target_kind = 'feeder' AND l.meter_no = m.meter_no AND l.status = 'linked');

-- finding: feeder_of_another_substation | Meters whose feeder, as somebody set it, belongs to another substation than theirs; the feeder counts. | Correct the one that is wrong.
SELECT m.meter_number AS id
FROM public.oms_meters m
JOIN public.network_feeders f ON f.id = m.feeder_id
WHERE f.substation_id <> m.substation_id AND COALESCE(m.status, 'active') = 'active'
  AND NOT EXISTS (SELECT FROM oms_topology.meter_link l
                  WHERE l.target_kind IN ('feeder', 'substation') AND l.meter_no = m.meter_no AND l.status = 'linked');
