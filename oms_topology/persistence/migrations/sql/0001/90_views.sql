-- The five views of the deployed database: same names, columns and types. Counted are active meters, each in
-- exactly one of on, off and unknown (no status is unknown), so that the total is the sum of its parts.
-- A filter on the id or the code reaches the index of that one device.

-- CREATE OR REPLACE keeps grants and dependents but refuses other columns. Only a view whose columns are not
-- those of the contract is dropped first; if something hangs on it, that error stops the upgrade.
DO $$
DECLARE
    wanted record;
BEGIN
    FOR wanted IN
        SELECT *
        FROM (VALUES
            ('network_substations_with_meters',
             'id uuid, substation_id varchar(64), name varchar(200), location_lat numeric(10,8),'
             ' location_lng numeric(11,8), status varchar(20), total_meters bigint, online_meters bigint,'
             ' offline_meters bigint, unknown_meters bigint, comm_offline_meters bigint'),
            ('network_feeders_with_meters',
             'id uuid, feeder_id varchar(64), name varchar(200), substation_id uuid, substation_code varchar(64),'
             ' substation_name varchar(200), location_lat numeric(10,8), location_lng numeric(11,8),'
             ' status varchar(20), total_meters bigint, online_meters bigint, offline_meters bigint,'
             ' unknown_meters bigint'),
            ('oms_meters_with_topology',
             'meter_id uuid, meter_number varchar(64), meter_type varchar(50), communication_status varchar(20),'
             ' power_status varchar(20), last_communication timestamptz, last_power_change timestamptz,'
             ' location_lat numeric(10,8), location_lng numeric(11,8), customer_id varchar(64),'
             ' customer_phone varchar(32), customer_address text, substation_id varchar(64),'
             ' substation_name varchar(200), feeder_id varchar(64), feeder_name varchar(200), dp_id varchar(64),'
             ' dp_name varchar(200)'),
            ('oms_active_outages',
             'id uuid, event_id varchar(64), event_type varchar(50), status varchar(32), severity varchar(16),'
             ' confidence_score numeric(5,2), affected_customers_count integer, first_detected_at timestamptz,'
             ' estimated_restoration_time timestamptz, substation_name varchar(200), feeder_name varchar(200),'
             ' dp_name varchar(200), source_count bigint, source_types text'),
            ('oms_correlation_summary',
             'outage_event_id uuid, event_id varchar(64), status varchar(32), confidence_score numeric(5,2),'
             ' total_sources bigint, scada_sources bigint, kaifa_sources bigint, onu_sources bigint,'
             ' call_center_sources bigint, first_source_detected timestamptz, last_source_detected timestamptz')
        ) AS expected (view_name, columns)
        WHERE to_regclass('public.' || view_name) IS NOT NULL
    LOOP
        IF wanted.columns <> (
            SELECT string_agg(
                       a.attname || ' ' || replace(replace(format_type(a.atttypid, a.atttypmod),
                           'character varying', 'varchar'), 'timestamp with time zone', 'timestamptz'),
                       ', ' ORDER BY a.attnum)
            FROM pg_attribute AS a
            WHERE a.attrelid = ('public.' || wanted.view_name)::regclass AND a.attnum > 0 AND NOT a.attisdropped)
        THEN
            EXECUTE format('DROP VIEW public.%I', wanted.view_name);
            INSERT INTO oms_topology.upgrade_report (revision, rule, severity, message, remedy, ids, row_count)
            VALUES ('0001', 'view_recreated', 'warning',
                    format('The view %s had other columns and was made anew.', wanted.view_name),
                    'Grant again what was granted on it.', ARRAY[wanted.view_name], 1);
        END IF;
    END LOOP;
END
$$;

-- Grouped by primary key: all devices are counted in one pass, one device through its indexes.
CREATE OR REPLACE VIEW public.network_substations_with_meters AS
SELECT s.id,
       s.substation_id,
       s.name,
       s.location_lat,
       s.location_lng,
       s.status,
       count(m.id) AS total_meters,
       count(m.id) FILTER (WHERE m.power_status = 'on') AS online_meters,
       count(m.id) FILTER (WHERE m.power_status = 'off') AS offline_meters,
       count(m.id) FILTER (WHERE coalesce(m.power_status, 'unknown') NOT IN ('on', 'off')) AS unknown_meters,
       count(m.id) FILTER (WHERE m.communication_status = 'offline') AS comm_offline_meters
FROM public.network_substations AS s
LEFT JOIN (
    public.network_substation_meters AS sm
    JOIN public.oms_meters AS m ON m.id = sm.meter_id AND m.status = 'active'
) ON sm.substation_id = s.id
GROUP BY s.id;

CREATE OR REPLACE VIEW public.network_feeders_with_meters AS
SELECT f.id,
       f.feeder_id,
       f.name,
       f.substation_id,
       s.substation_id AS substation_code,
       s.name AS substation_name,
       f.location_lat,
       f.location_lng,
       f.status,
       count(m.id) AS total_meters,
       count(m.id) FILTER (WHERE m.power_status = 'on') AS online_meters,
       count(m.id) FILTER (WHERE m.power_status = 'off') AS offline_meters,
       count(m.id) FILTER (WHERE coalesce(m.power_status, 'unknown') NOT IN ('on', 'off')) AS unknown_meters
FROM public.network_feeders AS f
LEFT JOIN public.network_substations AS s ON s.id = f.substation_id
LEFT JOIN (
    public.network_feeder_meters AS fm
    JOIN public.oms_meters AS m ON m.id = fm.meter_id AND m.status = 'active'
) ON fm.feeder_id = f.id
GROUP BY f.id, s.id;

CREATE OR REPLACE VIEW public.oms_meters_with_topology AS
SELECT m.id AS meter_id,
       m.meter_number,
       m.meter_type,
       m.communication_status,
       m.power_status,
       m.last_communication,
       m.last_power_change,
       m.location_lat,
       m.location_lng,
       c.customer_id,
       c.phone AS customer_phone,
       c.address AS customer_address,
       s.substation_id,
       s.name AS substation_name,
       f.feeder_id,
       f.name AS feeder_name,
       dp.dp_id,
       dp.name AS dp_name
FROM public.oms_meters AS m
LEFT JOIN public.oms_customers AS c ON c.id = m.customer_id
LEFT JOIN public.network_substations AS s ON s.id = m.substation_id
LEFT JOIN public.network_feeders AS f ON f.id = m.feeder_id
LEFT JOIN public.network_distribution_points AS dp ON dp.id = m.dp_id
WHERE m.status = 'active';

CREATE OR REPLACE VIEW public.oms_active_outages AS
SELECT o.id,
       o.event_id,
       o.event_type,
       o.status,
       o.severity,
       o.confidence_score,
       o.affected_customers_count,
       o.first_detected_at,
       o.estimated_restoration_time,
       s.name AS substation_name,
       f.name AS feeder_name,
       dp.name AS dp_name,
       source.source_count,
       source.source_types
FROM public.oms_outage_events AS o
LEFT JOIN public.network_substations AS s ON s.id = o.substation_id
LEFT JOIN public.network_feeders AS f ON f.id = o.feeder_id
LEFT JOIN public.network_distribution_points AS dp ON dp.id = o.dp_id
CROSS JOIN LATERAL (
    SELECT count(*) AS source_count,
           string_agg(DISTINCT es.source_type::text, ', ' ORDER BY es.source_type::text) AS source_types
    FROM public.oms_event_sources AS es
    WHERE es.outage_event_id = o.id
) AS source
WHERE o.status IN ('detected', 'confirmed', 'in_progress');

CREATE OR REPLACE VIEW public.oms_correlation_summary AS
SELECT o.id AS outage_event_id,
       o.event_id,
       o.status,
       o.confidence_score,
       source.total_sources,
       source.scada_sources,
       source.kaifa_sources,
       source.onu_sources,
       source.call_center_sources,
       source.first_source_detected,
       source.last_source_detected
FROM public.oms_outage_events AS o
CROSS JOIN LATERAL (
    SELECT count(*) AS total_sources,
           count(*) FILTER (WHERE es.source_type = 'scada') AS scada_sources,
           count(*) FILTER (WHERE es.source_type = 'kaifa') AS kaifa_sources,
           count(*) FILTER (WHERE es.source_type = 'onu') AS onu_sources,
           count(*) FILTER (WHERE es.source_type = 'call_center') AS call_center_sources,
           min(es.detected_at) AS first_source_detected,
           max(es.detected_at) AS last_source_detected
    FROM public.oms_event_sources AS es
    WHERE es.outage_event_id = o.id
) AS source;
