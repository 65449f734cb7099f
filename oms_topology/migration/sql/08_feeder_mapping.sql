-- Step 8: the feeders into the mapping; then the network is settled, so that events find every meter in its place.

-- count: mappings_added
INSERT INTO public.network_feeder_meters (feeder_id, meter_id, priority)
SELECT m.feeder_id, m.id, 2
FROM public.oms_meters m
WHERE m.feeder_id IS NOT NULL AND COALESCE(m.status, 'active') = 'active'
  AND NOT EXISTS (SELECT FROM public.network_feeder_meters f
                  WHERE f.meter_id = m.id AND f.feeder_id = m.feeder_id)
ORDER BY m.meter_no;

-- tally: contradicting_mappings_quarantined
SELECT quarantined FROM oms_topology.align_supplies();

-- tally: active_meters_mapped
SELECT count(DISTINCT f.meter_id) FROM public.network_feeder_meters f
JOIN public.oms_meters m ON m.id = f.meter_id AND m.feeder_id = f.feeder_id AND COALESCE(m.status, 'active') = 'active';

-- do: settle
SELECT oms_topology.settle();
