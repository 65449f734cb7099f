-- Step 10: what came of it.

-- name: totals
SELECT count(*) AS active_meters,
       count(*) FILTER (WHERE m.onu_id IS NOT NULL OR o.id IS NOT NULL) AS from_onu,
       count(*) FILTER (WHERE m.asset_mrid IS NOT NULL) AS from_kaifa,
       count(*) FILTER (WHERE c.id IS NOT NULL) AS from_call_center,
       count(m.substation_id) AS with_substation, count(m.feeder_id) AS with_feeder,
       count(m.dp_id) AS with_distribution_point, count(m.customer_id) AS with_customer
FROM public.oms_meters m
LEFT JOIN (SELECT DISTINCT oms_meter_id AS id FROM public.meters WHERE oms_meter_id IS NOT NULL) o ON o.id = m.id
LEFT JOIN (SELECT DISTINCT meter_id AS id FROM public.callcenter_customers WHERE meter_id IS NOT NULL) c ON c.id = m.id
WHERE COALESCE(m.status, 'active') = 'active';

-- name: names
SELECT sum(n.names)::bigint AS source_names, sum(n.found)::bigint AS migrated_names
FROM (SELECT count(DISTINCT upper(btrim(meter_id, E' \t\n\r\f\x0B'))) AS names,
             count(DISTINCT upper(btrim(meter_id, E' \t\n\r\f\x0B'))) FILTER (WHERE oms_meter_id IS NOT NULL) AS found
      FROM public.meters
      UNION ALL
      SELECT count(DISTINCT upper(btrim(mrid, E' \t\n\r\f\x0B'))),
             count(DISTINCT upper(btrim(mrid, E' \t\n\r\f\x0B'))) FILTER (WHERE meter_id IS NOT NULL)
      FROM public.kaifa_event_assets WHERE btrim(mrid, E' \t\n\r\f\x0B') <> ''
      UNION ALL
      SELECT count(DISTINCT upper(btrim(meter_number, E' \t\n\r\f\x0B'))),
             count(DISTINCT upper(btrim(meter_number, E' \t\n\r\f\x0B'))) FILTER (WHERE meter_id IS NOT NULL)
      FROM public.callcenter_customers WHERE btrim(meter_number, E' \t\n\r\f\x0B') <> '') n;

-- name: link_counts
SELECT l.target_kind, l.status, l.rule, CASE WHEN l.status = 'linked' THEN floor(l.confidence * 10) END::integer AS tenth, count(*) AS meters
FROM oms_topology.meter_link l
JOIN public.oms_meters m ON m.meter_no = l.meter_no AND COALESCE(m.status, 'active') = 'active'
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;

-- name: coverage
SELECT s.substation_id, s.name, s.location_lng::double precision AS longitude, s.location_lat::double precision AS latitude,
       COALESCE(f.feeders, 0) AS feeders, COALESCE(m.meters, 0) AS meters, COALESCE(m.customers, 0) AS customers,
       COALESCE(m.by_place, 0) AS by_place, m.mean_confidence, COALESCE(m.doubtful, 0) AS doubtful
FROM public.network_substations s
LEFT JOIN (SELECT substation_id, count(*) AS feeders FROM public.network_feeders
           WHERE COALESCE(status, 'active') = 'active' GROUP BY substation_id) f ON f.substation_id = s.id
LEFT JOIN (SELECT m.substation_id, count(*) AS meters, count(DISTINCT m.customer_id) AS customers,
                  count(l.meter_no) AS by_place, avg(l.confidence::numeric)::double precision AS mean_confidence,
                  count(*) FILTER (WHERE l.confidence < 0.8) AS doubtful
           FROM public.oms_meters m
           LEFT JOIN (SELECT meter_no, min(confidence) AS confidence FROM oms_topology.meter_link
                      WHERE rule = 'nearest' AND target_kind <> 'customer' GROUP BY meter_no) l ON l.meter_no = m.meter_no
           WHERE COALESCE(m.status, 'active') = 'active' GROUP BY m.substation_id) m ON m.substation_id = s.id
ORDER BY COALESCE(m.meters, 0) DESC, s.substation_id COLLATE "C";

-- name: work_counts
SELECT count(*) FROM oms_topology.meter_link l
JOIN public.oms_meters m ON m.meter_no = l.meter_no AND COALESCE(m.status, 'active') = 'active'
WHERE l.status <> 'linked' OR l.confidence < 0.8;

-- name: work_list
SELECT w.target_kind, w.meter_no, w.meter_number, w.status, w.rule, w.longitude, w.latitude, w.distance_m, w.confidence, w.code
FROM (SELECT l.target_kind, l.meter_no, m.meter_number, l.status, l.rule, m.location_lng::double precision AS longitude,
             m.location_lat::double precision AS latitude, l.distance_m, l.confidence, t.code,
             row_number() OVER (PARTITION BY l.target_kind ORDER BY l.confidence NULLS LAST, m.meter_number COLLATE "C") AS place
      FROM oms_topology.meter_link l
      JOIN public.oms_meters m ON m.meter_no = l.meter_no AND COALESCE(m.status, 'active') = 'active'
      LEFT JOIN (SELECT id, substation_id AS code FROM public.network_substations
                 UNION ALL SELECT id, feeder_id FROM public.network_feeders
                 UNION ALL SELECT id, dp_id FROM public.network_distribution_points
                 UNION ALL SELECT id, customer_id FROM public.oms_customers) t ON t.id = l.target_id
      WHERE l.status <> 'linked' OR l.confidence < 0.8) w
WHERE w.place <= :most
ORDER BY w.target_kind, w.place;

-- name: devices
SELECT kind, code, name, longitude, latitude FROM (
    SELECT 'substation' AS kind, substation_id AS code, name, location_lng::double precision AS longitude,
           location_lat::double precision AS latitude FROM public.network_substations
    UNION ALL SELECT 'feeder', feeder_id, name, location_lng, location_lat FROM public.network_feeders
    UNION ALL SELECT 'distribution_point', dp_id, name, location_lng, location_lat FROM public.network_distribution_points
    UNION ALL SELECT 'customer', customer_id, '', location_lng, location_lat FROM public.oms_customers) d
WHERE d.kind = :kind AND d.longitude IS NOT NULL AND d.latitude IS NOT NULL
ORDER BY d.code COLLATE "C";

-- name: findings
SELECT rule, message, remedy, ids, row_count FROM (
    SELECT 1 AS place, 'position_unusable' AS rule, 'Meters without a position that can be used, and without a link.' AS message,
           'Survey them, or link them by hand.' AS remedy,
           (array_agg(DISTINCT m.meter_number ORDER BY m.meter_number))[1:100] AS ids, count(DISTINCT m.id) AS row_count
    FROM oms_topology.meter_link l JOIN public.oms_meters m ON m.meter_no = l.meter_no
    WHERE l.target_kind = 'substation' AND l.status IN ('no_position', 'not_a_number', 'out_of_range', 'null_island')
    UNION ALL
    SELECT 2, 'position_swapped', 'Meters whose longitude and latitude seem to be exchanged; they are linked to nothing.',
           'Exchange them in the registry.',
           (array_agg(DISTINCT m.meter_number ORDER BY m.meter_number))[1:100], count(DISTINCT m.id)
    FROM oms_topology.meter_link l JOIN public.oms_meters m ON m.meter_no = l.meter_no
    WHERE l.status = 'suspected_swap'
    UNION ALL
    SELECT 3, 'substation_without_meters', 'Substations that feed no meter.', 'Look whether meters are missing, or linked elsewhere.',
           (array_agg(s.substation_id::text ORDER BY s.substation_id))[1:100], count(*)
    FROM public.network_substations s
    WHERE NOT EXISTS (SELECT FROM public.oms_meters m WHERE m.substation_id = s.id)
    UNION ALL
    SELECT 4, 'mapped_to_many_substations', 'Meters mapped with priority 3 to more than three substations; such mappings are not used.',
           'Link the meters and delete the mappings.',
           (array_agg(x.meter_number::text ORDER BY x.meter_number))[1:100], count(*)
    FROM (SELECT m.meter_number FROM public.network_substation_meters s JOIN public.oms_meters m ON m.id = s.meter_id
          WHERE s.priority = 3 GROUP BY m.meter_number HAVING count(*) > 3) x) f
WHERE f.row_count > 0 ORDER BY f.place;

-- name: far
SELECT m.meter_number, m.location_lng::double precision, m.location_lat::double precision,
       s.location_lng::double precision, s.location_lat::double precision
FROM oms_topology.explicit_placement p
JOIN public.oms_meters m ON m.meter_no = p.meter_no
JOIN public.network_substations s ON s.id = m.substation_id
WHERE p.substation_id IS NOT NULL AND m.location_lng IS NOT NULL AND m.location_lat IS NOT NULL
  AND s.location_lng IS NOT NULL AND s.location_lat IS NOT NULL
ORDER BY m.meter_number COLLATE "C";
