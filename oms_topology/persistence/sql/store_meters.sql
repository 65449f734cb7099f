-- Meters with the place they have in the preorder, their customers, and the mappings that say the same.
ANALYZE new_meter;
ANALYZE oms_topology.device;

INSERT INTO public.oms_customers (customer_id)
SELECT DISTINCT n.customer_id FROM new_meter n WHERE n.customer_id IS NOT NULL
ON CONFLICT (customer_id) DO NOTHING;

INSERT INTO public.oms_meters AS m
    (meter_number, customer_id, substation_id, feeder_id, dp_id, location_lat, location_lng,
     device_no, segment_no, position_no, device_is_explicit, supply_is_stale)
SELECT n.meter_number, c.id, s.id, f.id, p.id, n.latitude, n.longitude,
       d.device_no, d.segment_no, d.position_no, d.device_no IS NOT NULL, false
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
    device_no = excluded.device_no, segment_no = excluded.segment_no, position_no = excluded.position_no,
    device_is_explicit = excluded.device_is_explicit, supply_is_stale = m.has_alternates;

INSERT INTO public.network_substation_meters (substation_id, meter_id, feeder_id, priority)
SELECT m.substation_id, m.id, m.feeder_id, COALESCE(n.priority, 4)
FROM new_meter n JOIN public.oms_meters m ON m.meter_number = n.meter_number
WHERE m.substation_id IS NOT NULL
ON CONFLICT (substation_id, meter_id) DO UPDATE SET feeder_id = excluded.feeder_id, priority = excluded.priority;

INSERT INTO public.network_feeder_meters (feeder_id, meter_id, priority)
SELECT x.feeder_id, x.meter_id, min(x.priority)
FROM (SELECT m.feeder_id, m.id AS meter_id, 1 AS priority
      FROM new_meter n JOIN public.oms_meters m ON m.meter_number = n.meter_number
      WHERE m.feeder_id IS NOT NULL
      UNION ALL
      SELECT f.id, m.id, a.priority
      FROM new_alternate a
      JOIN new_meter n ON n.row_no = a.meter_row
      JOIN public.oms_meters m ON m.meter_number = n.meter_number
      JOIN new_device d ON d.row_no = a.device_row AND d.kind = 'feeder'
      JOIN public.network_feeders f ON f.feeder_id = d.code) x
GROUP BY x.feeder_id, x.meter_id
ON CONFLICT (feeder_id, meter_id) DO UPDATE SET priority = excluded.priority;

SELECT oms_topology.settle();
