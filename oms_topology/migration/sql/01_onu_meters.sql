-- Step 1: the meters of the ONU service. Names are compared without blanks around them and without case.

-- do: the registry's names
CREATE TEMP TABLE registry ON COMMIT DROP AS
SELECT meter_no, id, upper(btrim(meter_number, E' \t\n\r\f\x0B')) AS key FROM public.oms_meters;
CREATE INDEX ON registry (key);
ANALYZE registry;

-- do: the providers' meters
CREATE TEMP TABLE onu_said ON COMMIT DROP AS
SELECT m.id, btrim(m.meter_id, E' \t\n\r\f\x0B') AS number, upper(btrim(m.meter_id, E' \t\n\r\f\x0B')) AS key,
       m.onu_id, o.onu_serial_no, COALESCE(m.building_id, o.building_id) AS building_id, p.lat, p.lng,
       o.onu_power_flag_date, m.created_at, m.oms_meter_id
FROM public.meters m
LEFT JOIN public.onus o ON o.id = m.onu_id
CROSS JOIN LATERAL (
    SELECT CASE WHEN m.location_lat IS NOT NULL AND m.location_lng IS NOT NULL THEN m.location_lat ELSE o.location_lat END AS lat,
           CASE WHEN m.location_lat IS NOT NULL AND m.location_lng IS NOT NULL THEN m.location_lng ELSE o.location_lng END AS lng) g
CROSS JOIN LATERAL (
    SELECT CASE WHEN g.is_on_earth THEN g.lat END AS lat, CASE WHEN g.is_on_earth THEN g.lng END AS lng
    FROM (SELECT g.lat, g.lng, g.lat BETWEEN -90 AND 90 AND g.lng BETWEEN -180 AND 180 AS is_on_earth) g) p;
ANALYZE onu_said;

-- do: one row a meter; of several ONUs the one heard of last
CREATE TEMP TABLE onu_meter ON COMMIT DROP AS
SELECT DISTINCT ON (s.key COLLATE "C")
       s.key, min(s.number COLLATE "C") OVER (PARTITION BY s.key) AS first_number,
       bool_or(s.number = s.key) OVER (PARTITION BY s.key) AS is_written_so,
       s.onu_id, s.onu_serial_no, s.building_id, s.lat, s.lng, s.created_at
FROM onu_said s
WHERE s.key <> ''
ORDER BY s.key COLLATE "C", s.onu_power_flag_date DESC NULLS LAST, s.onu_id NULLS LAST, s.number COLLATE "C";
CREATE INDEX ON onu_meter (key);
ANALYZE onu_meter;

-- do: which of them the registry has
CREATE TEMP TABLE known ON COMMIT DROP AS
SELECT DISTINCT ON (o.key) o.key, x.meter_no
FROM onu_meter o
JOIN (SELECT key, meter_no, 1 AS place FROM registry
      UNION ALL SELECT name, meter_no, 2 FROM oms_topology.meter_alias WHERE kind = 'number') x ON x.key = o.key
ORDER BY o.key, x.place, x.meter_no;
CREATE INDEX ON known (key);
ANALYZE known;

-- do: what the registry has otherwise
CREATE TEMP TABLE refreshed ON COMMIT DROP AS
SELECT k.meter_no, o.onu_id, o.onu_serial_no, o.building_id, f.is_empty, o.lat, o.lng
FROM onu_meter o
JOIN known k ON k.key = o.key
JOIN public.oms_meters m ON m.meter_no = k.meter_no
CROSS JOIN LATERAL (
    SELECT o.lat IS NOT NULL AND (m.location_lat IS NULL OR m.location_lng IS NULL
                                  OR m.location_lat = 0 AND m.location_lng = 0 AND (o.lat <> 0 OR o.lng <> 0)) AS is_empty) f
WHERE f.is_empty OR o.onu_id <> m.onu_id OR o.onu_id IS NOT NULL AND m.onu_id IS NULL
   OR o.onu_serial_no IS DISTINCT FROM m.onu_serial_no AND o.onu_serial_no IS NOT NULL
   OR o.building_id IS DISTINCT FROM m.building_id AND o.building_id IS NOT NULL;
ANALYZE refreshed;

-- bulk: oms_meters
SELECT (SELECT count(*) FROM refreshed) + count(*) FROM onu_meter o WHERE NOT EXISTS (SELECT FROM known k WHERE k.key = o.key);

-- count: refreshed
UPDATE public.oms_meters m
SET onu_id = COALESCE(o.onu_id, m.onu_id), onu_serial_no = COALESCE(o.onu_serial_no, m.onu_serial_no),
    building_id = COALESCE(o.building_id, m.building_id),
    location_lat = CASE WHEN o.is_empty THEN o.lat ELSE m.location_lat END,
    location_lng = CASE WHEN o.is_empty THEN o.lng ELSE m.location_lng END
FROM refreshed o
WHERE m.meter_no = o.meter_no;

-- count: registered
INSERT INTO public.oms_meters
    (meter_number, meter_type, onu_id, onu_serial_no, building_id, location_lat, location_lng, status, created_at)
SELECT CASE WHEN o.is_written_so THEN o.key ELSE o.first_number END, 'smart', o.onu_id, o.onu_serial_no, o.building_id,
       o.lat, o.lng, 'active', COALESCE(o.created_at, now())
FROM onu_meter o
WHERE NOT EXISTS (SELECT FROM known k WHERE k.key = o.key)
ORDER BY o.key COLLATE "C";

-- do: and those that were registered now
INSERT INTO known (key, meter_no)
SELECT upper(btrim(m.meter_number, E' \t\n\r\f\x0B')), m.meter_no
FROM public.oms_meters m
WHERE NOT EXISTS (SELECT FROM registry r WHERE r.meter_no = m.meter_no);
ANALYZE known;

-- do: the meter of each row
CREATE TEMP TABLE row_meter ON COMMIT DROP AS
SELECT o.id, m.id AS oms_meter_id
FROM onu_said o
JOIN known k ON k.key = o.key
JOIN public.oms_meters m ON m.meter_no = k.meter_no
WHERE o.key <> '' AND o.oms_meter_id IS DISTINCT FROM m.id;
ANALYZE row_meter;

-- bulk: meters oms_meter_id
SELECT count(*) FROM row_meter;

-- count: source_rows_linked
UPDATE public.meters s SET oms_meter_id = r.oms_meter_id FROM row_meter r WHERE s.id = r.id;

-- finding: number_missing | Rows of the ONU service without a meter number. | Correct them there.
SELECT s.id::text AS id FROM onu_said s WHERE s.key = '';

-- finding: meter_on_several_onus | Meters that the ONU service has at several ONUs; the one heard of last counts. | Remove the wrong ones there.
SELECT s.key AS id FROM onu_said s WHERE s.key <> '' AND s.onu_id IS NOT NULL GROUP BY s.key HAVING count(DISTINCT s.onu_id) > 1;

-- finding: onu_state_without_time | ONUs with a power flag and no time of it; such a flag says nothing. | None needed: the next message of the ONU sets both.
SELECT o.id::text AS id FROM public.onus o WHERE o.onu_power_flag IS NOT NULL AND o.onu_power_flag_date IS NULL;
