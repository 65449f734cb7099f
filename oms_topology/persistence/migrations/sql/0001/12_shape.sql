-- Which shape was found, for the record; told by the tables and foreign keys that stand.
--   empty  nothing of the deployed database
--   A      everything, with all foreign keys of the added columns
--   B      everything, but the added columns have no foreign keys: orphan ids are possible
--   C      no tables of the four provider services
--   unknown  anything between these; it is upgraded all the same

INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, row_count)
WITH service AS (
    SELECT count(to_regclass('public.' || name)) AS found
    FROM unnest(ARRAY['scada_events', 'onu_events', 'meters', 'kaifa_events', 'callcenter_customers']) AS name
), core AS (
    SELECT count(to_regclass('public.' || name)) AS found
    FROM unnest(ARRAY['network_substations', 'oms_outage_events', 'oms_meters', 'oms_meter_status_events',
                      'scada_event_affected_meters']) AS name
), link AS (
    SELECT count(DISTINCT (c.conrelid, c.conkey)) AS found
    FROM (VALUES ('scada_events', 'outage_event_id'), ('onu_events', 'meter_id'), ('meters', 'oms_meter_id'),
                 ('kaifa_event_assets', 'meter_id'), ('kaifa_event_usage_points', 'meter_id'),
                 ('callcenter_customers', 'meter_id'), ('scada_event_affected_meters', 'meter_id')
         ) AS added (table_name, column_name)
    JOIN pg_attribute AS a
      ON a.attrelid = to_regclass('public.' || added.table_name) AND a.attname = added.column_name
    JOIN pg_constraint AS c
      ON c.conrelid = a.attrelid AND c.contype = 'f' AND c.conkey = ARRAY[a.attnum]
)
SELECT '0001', 'shape', 'note',
       CASE
           WHEN service.found = 0 AND core.found = 0 THEN 'empty'
           WHEN service.found = 5 AND core.found = 5 AND link.found = 7 THEN 'A'
           WHEN service.found = 5 AND core.found = 5 AND link.found = 0 THEN 'B'
           WHEN service.found = 0 AND core.found = 5 THEN 'C'
           ELSE 'unknown'
       END,
       service.found + core.found
FROM service, core, link;
