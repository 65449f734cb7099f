-- What is suspicious but stays: told, never touched. But the old link script's fan-out, which every query would
-- count, moves to quarantine.

INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
SELECT '0001', 'mapped_to_many_substations', 'warning',
       'Meters mapped with priority 3 to more than three substations, as the old link script does.',
       'Such mappings are no supply; they stand in oms_topology.quarantined_mapping. Link the meters.',
       (array_agg(meter_number ORDER BY meter_number))[1:100], count(*)
FROM (
    SELECT m.meter_number
    FROM public.network_substation_meters AS sm
    JOIN public.oms_meters AS m ON m.id = sm.meter_id
    WHERE sm.priority = 3
    GROUP BY m.meter_number
    HAVING count(*) > 3
) AS fanned_out
HAVING count(*) > 0;

WITH fanned_out AS (
    SELECT meter_id FROM public.network_substation_meters WHERE priority = 3 GROUP BY meter_id HAVING count(*) > 3
), removed AS (
    DELETE FROM public.network_substation_meters AS sm
    USING fanned_out
    WHERE sm.meter_id = fanned_out.meter_id AND sm.priority = 3
    RETURNING sm.meter_id, sm.substation_id, to_jsonb(sm) AS "row"
)
INSERT INTO oms_topology.quarantined_mapping (meter_id, substation_id, reason, "row")
SELECT meter_id, substation_id, 'fan_out', "row" FROM removed ORDER BY meter_id, substation_id;

INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
SELECT '0001', 'repeated_status_event', 'warning',
       'Status events that repeat another one of the same meter, source, time and status.',
       'Audit rows are never deleted; reports count distinct ones.',
       (array_agg(DISTINCT m.meter_number ORDER BY m.meter_number))[1:100], sum(copies - 1)
FROM (
    SELECT meter_id, count(*) AS copies
    FROM public.oms_meter_status_events
    GROUP BY meter_id, event_type, source_type, source_event_id, new_status, event_timestamp
    HAVING count(*) > 1
) AS repeated
LEFT JOIN public.oms_meters AS m ON m.id = repeated.meter_id
HAVING count(*) > 0;

INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
SELECT '0001', 'sample_row', 'warning',
       'Rows with the codes and coordinates that the old schema scripts inserted as samples.',
       'Delete them if they are not yours.',
       array_agg(code ORDER BY code), count(*)
FROM (
    SELECT substation_id AS code
    FROM public.network_substations
    WHERE (substation_id, location_lat, location_lng) IN (
        ('SS001', 31.95, 35.93), ('SS002', 32.00, 35.95), ('SS003', 31.93, 36.00))
    UNION ALL
    SELECT meter_id FROM public.meters WHERE onu_id = 3230316 AND meter_id IN ('M12345678', 'M23456789')
) AS sample
HAVING count(*) > 0;

INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
SELECT '0001', 'mapping_against_registry', 'warning',
       'Meters whose substation in the registry is none of the substations they are mapped to.',
       'The feeder decides, then the registry; correct the one that is wrong.',
       (array_agg(meter_number ORDER BY meter_number))[1:100], count(*)
FROM public.oms_meters AS m
WHERE m.substation_id IS NOT NULL
  AND EXISTS (SELECT FROM public.network_substation_meters AS sm WHERE sm.meter_id = m.id)
  AND NOT EXISTS (
      SELECT FROM public.network_substation_meters AS sm
      WHERE sm.meter_id = m.id AND sm.substation_id = m.substation_id)
HAVING count(*) > 0;
