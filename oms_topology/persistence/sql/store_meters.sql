-- Meters with the place they have in the preorder, their customers, and the mappings that say the same.
-- Both truths are written here, and equal.
SELECT set_config('oms_topology.keeps_mappings', 'on', true);
ANALYZE new_meter;
ANALYZE oms_topology.device;

INSERT INTO public.oms_customers (customer_id)
SELECT DISTINCT n.customer_id FROM new_meter n WHERE n.customer_id IS NOT NULL
ON CONFLICT (customer_id) DO NOTHING;

-- A new meter is settled as it comes; that it was not there before is told once for all of them. (The xmax of a
-- row is 0 only where it was inserted, and not found and updated.)
WITH stored AS (
    INSERT INTO public.oms_meters AS m
        (meter_number, customer_id, substation_id, feeder_id, dp_id, location_lat, location_lng,
         device_no, listed_device_no, segment_no, position_no, device_is_explicit, supply_is_stale)
    SELECT n.meter_number, c.id, COALESCE(f.substation_id, s.id), f.id, p.id, n.map_latitude, n.map_longitude,
           d.device_no, COALESCE(d.device_no, -1), d.segment_no, d.position_no, d.device_no IS NOT NULL, false
    FROM new_meter n
    LEFT JOIN new_device nd ON nd.row_no = n.device_row
    LEFT JOIN oms_topology.device d ON d.device_no = nd.device_no
    LEFT JOIN new_device ns ON ns.row_no = n.substation_row
    LEFT JOIN public.network_substations s ON s.substation_id = ns.code
    LEFT JOIN new_device nf ON nf.row_no = n.feeder_row
    LEFT JOIN public.network_feeders f ON f.feeder_id = nf.code
    LEFT JOIN new_device np ON np.row_no = n.dp_row
    LEFT JOIN public.network_distribution_points p ON p.dp_id = np.code
    LEFT JOIN public.oms_customers c ON c.customer_id = n.customer_id
    ORDER BY d.segment_no, d.position_no, n.row_no
    ON CONFLICT (meter_number) DO UPDATE
    SET customer_id = excluded.customer_id, substation_id = excluded.substation_id, feeder_id = excluded.feeder_id,
        dp_id = excluded.dp_id, location_lat = excluded.location_lat, location_lng = excluded.location_lng,
        device_no = excluded.device_no, device_is_explicit = excluded.device_is_explicit,
        supply_is_stale = m.supply_is_stale OR (m.device_no, m.segment_no, m.position_no, m.device_is_explicit)
            IS DISTINCT FROM (excluded.device_no, excluded.segment_no, excluded.position_no, excluded.device_is_explicit)
    RETURNING m.meter_no, m.xmax = 0 AS is_new
)
INSERT INTO oms_topology.topology_before (meter_nos)
SELECT array_agg(meter_no) FROM stored WHERE is_new HAVING count(*) > 0;

-- A device that stays while the columns above it change (its feeder is fed from elsewhere) is meant all the same.
UPDATE public.oms_meters m SET device_is_explicit = true
FROM new_meter n JOIN new_device d ON d.row_no = n.device_row
WHERE m.meter_number = n.meter_number AND NOT m.device_is_explicit AND m.device_no = d.device_no;

INSERT INTO public.network_substation_meters (substation_id, meter_id, feeder_id, priority)
SELECT m.substation_id, m.id, m.feeder_id, COALESCE(n.priority, 4)
FROM new_meter n JOIN public.oms_meters m ON m.meter_number = n.meter_number
WHERE m.substation_id IS NOT NULL
ON CONFLICT (substation_id, meter_id) DO UPDATE SET feeder_id = excluded.feeder_id, priority = excluded.priority
WHERE (network_substation_meters.feeder_id, network_substation_meters.priority)
      IS DISTINCT FROM (excluded.feeder_id, excluded.priority);

-- Alternates at feeders are mappings, as old services know them; others stand in alternate_supply alone.
UPDATE new_alternate a
SET meter_no = m.meter_no, meter_id = m.id, device_no = d.device_no,
    feeder_id = CASE WHEN d.kind = 'feeder' AND m.feeder_id <> f.id AND a.priority >= 1 THEN f.id END
FROM new_meter n, public.oms_meters m, new_device d
LEFT JOIN public.network_feeders f ON d.kind = 'feeder' AND f.feeder_id = d.code
WHERE n.row_no = a.meter_row AND m.meter_number = n.meter_number AND d.row_no = a.device_row;

DELETE FROM public.network_feeder_meters o
USING new_meter n, public.oms_meters m
WHERE m.meter_number = n.meter_number AND o.meter_id = m.id AND o.feeder_id IS DISTINCT FROM m.feeder_id
  AND NOT EXISTS (SELECT FROM new_alternate a WHERE a.meter_id = m.id AND a.feeder_id = o.feeder_id);
DELETE FROM public.network_substation_meters o
USING new_meter n, public.oms_meters m
WHERE m.meter_number = n.meter_number AND m.feeder_id IS NULL AND o.meter_id = m.id
  AND o.substation_id IS DISTINCT FROM m.substation_id AND NOT oms_topology.is_fan_out(m.id, o.priority);

INSERT INTO public.network_feeder_meters (feeder_id, meter_id, priority)
SELECT x.feeder_id, x.meter_id, min(x.priority)
FROM (SELECT m.feeder_id, m.id AS meter_id, 1 AS priority
      FROM new_meter n JOIN public.oms_meters m ON m.meter_number = n.meter_number
      WHERE m.feeder_id IS NOT NULL
      UNION ALL
      SELECT a.feeder_id, a.meter_id, a.priority FROM new_alternate a WHERE a.feeder_id IS NOT NULL) x
GROUP BY x.feeder_id, x.meter_id
ON CONFLICT (feeder_id, meter_id) DO UPDATE SET priority = excluded.priority
WHERE network_feeder_meters.priority IS DISTINCT FROM excluded.priority;

WITH gone AS (
    DELETE FROM oms_topology.alternate_supply o
    USING new_meter n, public.oms_meters m
    WHERE m.meter_number = n.meter_number AND o.is_explicit AND o.meter_no = m.meter_no
      AND NOT EXISTS (SELECT FROM new_alternate a
                      WHERE a.meter_no = o.meter_no AND a.device_no = o.device_no AND a.feeder_id IS NULL)
    RETURNING o.meter_no
), given AS (
    INSERT INTO oms_topology.alternate_supply AS o (meter_no, device_no, priority, is_explicit)
    SELECT a.meter_no, a.device_no, min(a.priority), true
    FROM new_alternate a WHERE a.feeder_id IS NULL GROUP BY a.meter_no, a.device_no
    ON CONFLICT (meter_no, device_no) DO UPDATE SET priority = excluded.priority, is_explicit = true
    WHERE (o.priority, o.is_explicit) IS DISTINCT FROM (excluded.priority, true)
    RETURNING o.meter_no
)
UPDATE public.oms_meters m SET supply_is_stale = true
FROM (SELECT meter_no FROM gone UNION SELECT meter_no FROM given) c WHERE m.meter_no = c.meter_no;

-- Mappings of meters that were there before may still say what they were.
SELECT oms_topology.align_supplies(ARRAY(
    SELECT m.id FROM new_meter n
    JOIN public.oms_meters m ON m.meter_number = n.meter_number
    JOIN public.network_substation_meters s ON s.meter_id = m.id
    WHERE s.substation_id IS DISTINCT FROM m.substation_id OR s.feeder_id IS DISTINCT FROM m.feeder_id));
SELECT set_config('oms_topology.keeps_mappings', 'off', true);

SELECT oms_topology.settle();
