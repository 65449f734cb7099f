-- Step 7: the links of steps 4 to 6 into the registry, in one pass over it, and the substations into the mapping.

-- do: what the registry has otherwise
CREATE TEMP TABLE wanted ON COMMIT DROP AS
SELECT w.*
FROM (SELECT p.meter_no, COALESCE(p.substation_id, ls.target_id) AS substation_id,
             COALESCE(p.feeder_id, lf.target_id) AS feeder_id, COALESCE(p.dp_id, ld.target_id) AS dp_id,
             COALESCE(p.customer_id, lc.target_id) AS customer_id
      FROM oms_topology.explicit_placement p
      LEFT JOIN oms_topology.meter_link ls ON ls.target_kind = 'substation' AND ls.meter_no = p.meter_no
      LEFT JOIN oms_topology.meter_link lf ON lf.target_kind = 'feeder' AND lf.meter_no = p.meter_no
      LEFT JOIN oms_topology.meter_link ld ON ld.target_kind = 'distribution_point' AND ld.meter_no = p.meter_no
      LEFT JOIN oms_topology.meter_link lc ON lc.target_kind = 'customer' AND lc.meter_no = p.meter_no) w
JOIN public.oms_meters m ON m.meter_no = w.meter_no
WHERE (m.substation_id, m.feeder_id, m.dp_id, m.customer_id)
      IS DISTINCT FROM (w.substation_id, w.feeder_id, w.dp_id, w.customer_id);
ANALYZE wanted;

-- bulk: oms_meters substation_id, feeder_id, dp_id, customer_id, supply_is_stale
SELECT count(*) FROM wanted;

-- count: meters_linked
UPDATE public.oms_meters m
SET substation_id = w.substation_id, feeder_id = w.feeder_id, dp_id = w.dp_id, customer_id = w.customer_id
FROM wanted w WHERE m.meter_no = w.meter_no;

-- count: former_mappings_removed
DELETE FROM public.network_substation_meters s
USING oms_topology.meter_link l JOIN public.oms_meters m ON m.meter_no = l.meter_no
WHERE l.target_kind = 'substation' AND l.former_id IS NOT NULL AND s.meter_id = m.id AND s.substation_id = l.former_id
  AND m.substation_id IS DISTINCT FROM l.former_id;

-- count: former_feeder_mappings_removed
DELETE FROM public.network_feeder_meters f
USING oms_topology.meter_link l JOIN public.oms_meters m ON m.meter_no = l.meter_no
WHERE l.target_kind = 'feeder' AND l.former_id IS NOT NULL AND f.meter_id = m.id AND f.feeder_id = l.former_id
  AND m.feeder_id IS DISTINCT FROM l.former_id;

-- do: nothing in the registry stands from before
UPDATE oms_topology.meter_link SET former_id = NULL WHERE former_id IS NOT NULL;

-- do: what the mapping lacks
CREATE TEMP TABLE unmapped ON COMMIT DROP AS
SELECT m.substation_id, m.id AS meter_id, m.feeder_id, m.meter_no
FROM public.oms_meters m
WHERE m.substation_id IS NOT NULL AND COALESCE(m.status, 'active') = 'active'
  AND NOT EXISTS (SELECT FROM public.network_substation_meters s
                  WHERE s.meter_id = m.id AND s.substation_id = m.substation_id);

-- bulk: network_substation_meters
SELECT count(*) FROM unmapped;

-- count: mappings_added
INSERT INTO public.network_substation_meters (substation_id, meter_id, feeder_id, priority)
SELECT u.substation_id, u.meter_id, u.feeder_id, 2 FROM unmapped u ORDER BY u.meter_no;

-- count: mapping_feeders_corrected
UPDATE public.network_substation_meters s SET feeder_id = m.feeder_id
FROM public.oms_meters m
WHERE m.id = s.meter_id AND m.substation_id = s.substation_id AND m.feeder_id IS NOT NULL
  AND s.feeder_id IS DISTINCT FROM m.feeder_id;

-- tally: active_meters_mapped
SELECT count(DISTINCT s.meter_id) FROM public.network_substation_meters s
JOIN public.oms_meters m ON m.id = s.meter_id AND m.substation_id = s.substation_id AND COALESCE(m.status, 'active') = 'active';
