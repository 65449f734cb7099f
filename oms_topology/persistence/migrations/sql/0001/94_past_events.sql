-- Events that were stored before there was an inbox, taken into it: with the keys and by the rules of the live doors,
-- so that the same message counts once, whether it comes again or not.

-- One batch of past ONU events in their parsed form, with the numbers of their rows. Returns how many were new.
CREATE FUNCTION oms_topology.record_past_onu_events(p_parsed jsonb[], p_event_nos integer[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    onu_nos integer[];
    found   record;
    said    record;
    first   record;
BEGIN
    onu_nos := oms_topology.onus_of(p_parsed);
    SELECT * INTO found FROM oms_topology.meters_of_onus(p_parsed, onu_nos);
    SELECT array_agg(m.id ORDER BY e.place) AS meter_ids,
           array_agg(jsonb_build_object('onu_event_id', e.event_no, 'meters_synced', true, 'total_meters', COALESCE(f.meters, 0))
                     ORDER BY e.place) AS results
    INTO first
    FROM unnest(p_event_nos) WITH ORDINALITY AS e (event_no, place)
    LEFT JOIN (SELECT f.place, count(*) AS meters, (array_agg(f.meter_no ORDER BY m.meter_number COLLATE "C"))[1] AS meter_no
               FROM unnest(found.places, found.meter_nos) AS f (place, meter_no)
               JOIN public.oms_meters m ON m.meter_no = f.meter_no GROUP BY f.place) f ON f.place = e.place
    LEFT JOIN public.oms_meters m ON m.meter_no = f.meter_no;
    SELECT * INTO said FROM oms_topology.accept_signals('onu', p_parsed, now(), '{}', first.results);
    PERFORM oms_topology.mark_provisional(
        found.registered, ARRAY(SELECT said.signal_nos[p.place] FROM unnest(found.places) WITH ORDINALITY AS p (place, at) ORDER BY p.at),
        found.meter_nos) WHERE found.registered <> '{}';
    UPDATE public.onu_events e SET meter_id = u.meter_id
    FROM unnest(p_event_nos, first.meter_ids) AS u (event_no, meter_id)
    WHERE e.id = u.event_no AND u.meter_id IS NOT NULL AND e.meter_id IS DISTINCT FROM u.meter_id;
    PERFORM oms_topology.gather_past_reports(
        array_agg(said.signal_nos[f.place] ORDER BY f.place, f.meter_no), array_agg(f.meter_no ORDER BY f.place, f.meter_no),
        array_agg(p_parsed[f.place] ->> 'communication_status' ORDER BY f.place, f.meter_no))
    FROM unnest(found.places, found.meter_nos) AS f (place, meter_no)
    WHERE said.are_new[f.place]
    HAVING count(*) > 0;
    RETURN (SELECT count(*) FROM unnest(said.are_new) AS n (is_new) WHERE n.is_new);
END $$;

-- KAIFA events without a signal, as the parsed forms that their messages would have given; a message itself was not kept.
CREATE FUNCTION oms_topology.past_kaifa_events() RETURNS TABLE (event_id uuid, parsed jsonb, meter_ids uuid[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH missing AS (
        SELECT e.id, e.event_timestamp, e.created_at FROM public.kaifa_events e
        LEFT JOIN oms_topology.signal s ON s.source = 'kaifa' AND s.record_id = e.id::text
        WHERE s.signal_no IS NULL
    ), event AS MATERIALIZED (
        SELECT m.id, m.created_at, p.id AS payload_id, COALESCE(p.created_date_time, t.date_time, m.event_timestamp) AS at,
               to_char(COALESCE(p.created_date_time, t.date_time, m.event_timestamp) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at_text,
               p.event_type_ref AS ref, p.severity, p.reason, p.event_id_value, h.message_id, t.value AS state
        FROM missing m
        JOIN public.kaifa_event_payloads p ON p.event_id = m.id
        LEFT JOIN (SELECT h.event_id, min(h.message_id COLLATE "C") AS message_id
                   FROM missing m JOIN public.kaifa_event_headers h ON h.event_id = m.id GROUP BY h.event_id) h ON h.event_id = m.id
        LEFT JOIN (SELECT DISTINCT ON (t.payload_id) t.payload_id, t.value, t.date_time
                   FROM missing m
                   JOIN public.kaifa_event_payloads p ON p.event_id = m.id
                   JOIN public.kaifa_event_status t ON t.payload_id = p.id
                   ORDER BY t.payload_id, t.date_time, t.value COLLATE "C") t ON t.payload_id = p.id
    ), named AS (
        SELECT e.*, a.mrids, a.meter_ids AS asset_meters, u.points, u.meter_ids AS point_meters, d.words
        FROM event e
        LEFT JOIN (SELECT a.payload_id, array_agg(a.mrid::text ORDER BY a.mrid COLLATE "C") FILTER (WHERE a.mrid <> '') AS mrids,
                          array_agg(DISTINCT a.meter_id) FILTER (WHERE a.meter_id IS NOT NULL) AS meter_ids
                   FROM event e JOIN public.kaifa_event_assets a ON a.payload_id = e.payload_id
                   GROUP BY a.payload_id) a ON a.payload_id = e.payload_id
        LEFT JOIN (SELECT u.payload_id, array_agg(u.mrid::text ORDER BY u.mrid COLLATE "C") FILTER (WHERE u.mrid <> '') AS points,
                          array_agg(DISTINCT u.meter_id) FILTER (WHERE u.meter_id IS NOT NULL) AS meter_ids
                   FROM event e JOIN public.kaifa_event_usage_points u ON u.payload_id = e.payload_id
                   GROUP BY u.payload_id) u ON u.payload_id = e.payload_id
        LEFT JOIN (SELECT d.payload_id, array_agg(w.word ORDER BY d.detail_order, d.name COLLATE "C", w.place) AS words
                   FROM event e JOIN public.kaifa_event_details d ON d.payload_id = e.payload_id
                   CROSS JOIN LATERAL (VALUES (1, d.name::text), (2, d.value::text)) AS w (place, word)
                   GROUP BY d.payload_id) d ON d.payload_id = e.payload_id
    ), known AS (
        SELECT r.ref, k.power_status, k.communication_status
        FROM (SELECT DISTINCT ref FROM event) r CROSS JOIN LATERAL oms_topology.end_device_event(r.ref) k
    )
    SELECT n.id, jsonb_build_object(
               'source_event_id', oms_topology.kaifa_key(
                   jsonb_build_object('message_id', n.message_id, 'event_id', n.event_id_value), n.mrids, x.hash),
               'content_hash', x.hash, 'device_kind', 'meter', 'device_code', COALESCE(n.mrids[1], n.points[1]),
               'power_status', CASE WHEN s.is_void THEN 'unknown' ELSE COALESCE(k.power_status, 'unknown') END,
               'communication_status', CASE WHEN NOT s.is_void THEN k.communication_status END,
               'occurred_at', oms_topology.iso_time(CASE WHEN s.is_sound THEN n.at ELSE COALESCE(n.created_at, now()) END), 'time_is_sound', s.is_sound,
               'findings', '[]'::jsonb,
               'payload', jsonb_build_object('kaifa_event_id', n.id, 'severity', n.severity, 'event_type', n.ref)),
           CASE WHEN n.mrids IS NULL THEN n.point_meters ELSE n.asset_meters END
    FROM named n
    LEFT JOIN known k ON k.ref = n.ref
    CROSS JOIN LATERAL (SELECT COALESCE(k.power_status = 'off' AND lower(n.state) IN (
                                   'inactive', 'cleared', 'closed', 'cancelled', 'canceled', 'resolved'), false) AS is_void,
                               n.at BETWEEN '2000-01-01Z' AND COALESCE(n.created_at, now()) + interval '5 minutes' AS is_sound) s
    CROSS JOIN LATERAL (SELECT oms_topology.content_hash(
                            ARRAY[n.at_text, n.ref, n.state, n.message_id, n.event_id_value, n.severity, n.reason,
                                  COALESCE(cardinality(n.mrids), 0)::text]
                            || n.mrids || COALESCE(cardinality(n.points), 0)::text || n.points || n.words) AS hash OFFSET 0) x
    WHERE n.mrids IS NOT NULL OR n.points IS NOT NULL
$$;

-- All past KAIFA events, so many at a time as fit into arrays. Returns how many were new.
CREATE FUNCTION oms_topology.record_past_kaifa_events(p_batch_size integer DEFAULT 25000) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    past     record;
    said     record;
    recorded integer := 0;
BEGIN
    -- In the order in which signals are numbered, whatever the size of a batch.
    CREATE TEMP TABLE past_kaifa ON COMMIT DROP AS
    SELECT e.event_id, e.parsed, to_jsonb(e.meter_ids) AS meter_ids, e.parsed ->> 'occurred_at' AS at,
           (row_number() OVER (ORDER BY e.parsed ->> 'source_event_id' COLLATE "C", e.parsed ->> 'content_hash' COLLATE "C",
                               e.parsed ->> 'occurred_at', e.event_id) - 1) / p_batch_size AS batch_no
    FROM oms_topology.past_kaifa_events() e;
    FOR past IN
        SELECT array_agg(p.parsed ORDER BY p.at, p.event_id) AS parsed, array_agg(p.event_id::text ORDER BY p.at, p.event_id) AS record_ids,
               array_agg(p.meter_ids ORDER BY p.at, p.event_id) AS meters,
               array_agg(jsonb_build_object('kaifa_event_id', p.event_id, 'meters_synced', true,
                                            'total_meters', COALESCE(jsonb_array_length(p.meter_ids), 0))
                         ORDER BY p.at, p.event_id) AS results
        FROM pg_temp.past_kaifa p GROUP BY p.batch_no ORDER BY p.batch_no
    LOOP
        SELECT * INTO said FROM oms_topology.accept_signals('kaifa', past.parsed, now(), past.record_ids, past.results);
        PERFORM oms_topology.gather_past_reports(
            array_agg(u.signal_no ORDER BY u.place, m.meter_no), array_agg(m.meter_no ORDER BY u.place, m.meter_no),
            array_agg(u.parsed ->> 'communication_status' ORDER BY u.place, m.meter_no))
        FROM unnest(said.signal_nos, said.are_new, past.parsed, past.meters) WITH ORDINALITY AS u (signal_no, is_new, parsed, meters, place)
        CROSS JOIN LATERAL jsonb_array_elements_text(CASE jsonb_typeof(u.meters) WHEN 'array' THEN u.meters ELSE '[]' END) AS i (id)
        JOIN public.oms_meters m ON m.id = i.id::uuid
        WHERE u.is_new
        HAVING count(*) > 0;
        recorded := recorded + (SELECT count(*) FROM unnest(said.are_new) AS n (is_new) WHERE n.is_new);
    END LOOP;
    DROP TABLE past_kaifa;
    RETURN recorded;
END $$;

-- What the ONU service itself says of each ONU's power is a report of that time, where none says the same. Returns how
-- many states were new.
CREATE FUNCTION oms_topology.record_onu_states() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    state record;
    said  record;
BEGIN
    PERFORM oms_topology.gather_past_reports('{}', '{}', '{}');
    CREATE TEMP TABLE onu_state ON COMMIT DROP AS
    SELECT m.meter_no, o.id AS onu_id, o.onu_power_flag AS has_power, o.onu_power_flag_date AS at
    FROM public.onus o
    JOIN public.oms_meters m ON m.onu_id = o.id AND COALESCE(m.status, 'active') = 'active'
    LEFT JOIN (SELECT p.meter_no, p.occurred_at, s.power_status FROM pg_temp.past_said p
               JOIN oms_topology.signal s ON s.signal_no = p.signal_no AND s.source = 'onu') g
        ON g.meter_no = m.meter_no AND g.occurred_at = o.onu_power_flag_date
       AND g.power_status = CASE WHEN o.onu_power_flag THEN 'on' ELSE 'off' END
    WHERE g.meter_no IS NULL AND o.onu_power_flag IS NOT NULL AND o.onu_power_flag_date BETWEEN '2000-01-01Z' AND now() + interval '5 minutes'
      AND NOT EXISTS (
          SELECT FROM oms_topology.meter_report r
          WHERE r.meter_no = m.meter_no AND r.occurred_at = o.onu_power_flag_date AND r.source = 'onu'
            AND r.power_status = CASE WHEN o.onu_power_flag THEN 'on' ELSE 'off' END);
    ANALYZE onu_state;
    SELECT array_agg(s.onu_id ORDER BY s.onu_id) AS onu_ids,
           array_agg(jsonb_build_object(
               'source_event_id', 'onu_state:' || s.onu_id || '@' || oms_topology.iso_time(s.at), 'content_hash', oms_topology.content_hash(ARRAY[s.has_power::text, oms_topology.iso_time(s.at)]),
               'device_kind', 'onu', 'device_code', s.onu_id::text, 'power_status', CASE WHEN s.has_power THEN 'on' ELSE 'off' END,
               'occurred_at', oms_topology.iso_time(s.at), 'time_is_sound', true, 'findings', '[]'::jsonb,
               'payload', jsonb_build_object('onu_id', s.onu_id, 'onu_power_flag', s.has_power)) ORDER BY s.onu_id) AS parsed,
           array_agg('{"meters_synced": true}'::jsonb) AS results
    INTO state
    FROM (SELECT DISTINCT onu_id, has_power, at FROM onu_state) s;
    IF state.parsed IS NOT NULL THEN
        SELECT * INTO said FROM oms_topology.accept_signals('onu', state.parsed, now(), '{}', state.results);
        PERFORM oms_topology.gather_past_reports(
            array_agg(u.signal_no ORDER BY u.onu_id, s.meter_no), array_agg(s.meter_no ORDER BY u.onu_id, s.meter_no),
            array_agg(CASE WHEN s.has_power THEN 'online' ELSE 'offline' END ORDER BY u.onu_id, s.meter_no))
        FROM unnest(said.signal_nos, state.onu_ids) AS u (signal_no, onu_id) JOIN onu_state s ON s.onu_id = u.onu_id
        HAVING count(*) > 0;
    END IF;
    DROP TABLE onu_state;
    RETURN COALESCE(cardinality(state.onu_ids), 0);
END $$;
