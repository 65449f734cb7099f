-- Step 8: the feeders into the mapping; then the network is settled, so that events find every meter in its place.

-- do: what the mapping lacks
CREATE TEMP TABLE unmapped ON COMMIT DROP AS
SELECT m.feeder_id, m.id AS meter_id, m.meter_no
FROM public.oms_meters m
WHERE m.feeder_id IS NOT NULL AND COALESCE(m.status, 'active') = 'active'
  AND NOT EXISTS (SELECT FROM public.network_feeder_meters f
                  WHERE f.meter_id = m.id AND f.feeder_id = m.feeder_id);

-- bulk: network_feeder_meters
SELECT count(*) FROM unmapped;

-- count: mappings_added
INSERT INTO public.network_feeder_meters (feeder_id, meter_id, priority)
SELECT u.feeder_id, u.meter_id, 2 FROM unmapped u ORDER BY u.meter_no;

-- anew: the indexes by which meter after meter is looked at
-- tally: contradicting_mappings_quarantined
SELECT quarantined FROM oms_topology.align_supplies(ARRAY(
    -- Nothing is to be made equal where the one substation mapping says what the row says, and the feeder is mapped;
    -- nor where neither the row nor a mapping says anything.
    SELECT m.id
    FROM public.oms_meters m
    LEFT JOIN public.network_feeders f ON f.id = m.feeder_id AND f.substation_id = m.substation_id
    LEFT JOIN public.network_feeder_meters x ON x.meter_id = m.id AND x.feeder_id = m.feeder_id
    LEFT JOIN (SELECT meter_id, min(substation_id::text) AS substation, min(feeder_id::text) AS feeder, count(*) AS mappings
               FROM public.network_substation_meters GROUP BY meter_id) s ON s.meter_id = m.id
    WHERE NOT COALESCE(f.id IS NOT NULL AND x.id IS NOT NULL AND s.mappings = 1
                       AND s.substation = m.substation_id::text AND s.feeder = m.feeder_id::text, false)
      AND (m.feeder_id IS NOT NULL OR m.substation_id IS NOT NULL OR s.meter_id IS NOT NULL
           OR EXISTS (SELECT FROM public.network_feeder_meters y WHERE y.meter_id = m.id))));

-- tally: active_meters_mapped
SELECT count(DISTINCT f.meter_id) FROM public.network_feeder_meters f
JOIN public.oms_meters m ON m.id = f.meter_id AND m.feeder_id = f.feeder_id AND COALESCE(m.status, 'active') = 'active';

-- bulk: oms_meters device_no, segment_no, position_no, supply_is_stale
SELECT count(*) FROM public.oms_meters WHERE supply_is_stale;

-- do: settle
SELECT oms_topology.settle();
