-- Step 9: what stored events said of meters, each once, and beside what was recorded live.

-- name: onu_events
SELECT e.id, e.event_id, e.onu_id, e.event_type, e."timestamp" AS happened_at, e.serial_number, e.raw_payload,
       COALESCE(e.created_at, e."timestamp") AS received_at
FROM public.onu_events e
LEFT JOIN (SELECT (s.result ->> 'onu_event_id')::integer AS id FROM oms_topology.signal s
           WHERE s.source = 'onu' AND s.result ? 'onu_event_id') k ON k.id = e.id
WHERE k.id IS NULL
ORDER BY e."timestamp", e.event_id COLLATE "C", e.id;

-- name: record_onu_events
SELECT oms_topology.record_past_onu_events(
    ARRAY(SELECT f.form FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS f (form, place) ORDER BY f.place), %s::integer[]);

-- name: record_kaifa_events
SELECT oms_topology.record_past_kaifa_events();

-- name: record_onu_states
SELECT oms_topology.record_onu_states();

-- name: record_reports
SELECT oms_topology.record_past_reports();
