-- The ONU door: an optical terminal speaks for itself and for every meter on it.

-- What an event type says of power and of reach: two things, and NULL is nothing.
CREATE FUNCTION oms_topology.onu_meaning(
    p_event_type text, OUT power_status text, OUT communication_status text, OUT is_known boolean)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.power_status, m.communication_status, m.name IS NOT NULL
    FROM (SELECT regexp_replace(oms_topology.bare_name(p_event_type), '^onu', '') AS name) said
    LEFT JOIN (VALUES
        ('lastgaspalert', 'off', 'offline'), ('lastgasp', 'off', 'offline'), ('dyinggasp', 'off', 'offline'),
        ('poweroutage', 'off', 'offline'), ('powerlost', 'off', 'offline'), ('powerrestored', 'on', 'online'),
        ('lossofsignal', NULL, 'offline'), ('los', NULL, 'offline'), ('offline', NULL, 'offline'),
        ('communicationloss', NULL, 'offline'), ('online', NULL, 'online'), ('communicationrestored', NULL, 'online')
    ) AS m (name, power_status, communication_status) USING (name)
$$;

CREATE FUNCTION oms_topology.onu_power_status(p_event_type text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(m.power_status, 'unknown') FROM oms_topology.onu_meaning(p_event_type) m
$$;

-- {lat, lng} as numbers or as text, either empty, in the form that coordinate_fields reads.
CREATE FUNCTION oms_topology.numeric_place(p_place jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN COALESCE(jsonb_typeof(p_place), 'null') NOT IN ('null', 'object') THEN jsonb_build_object('coordinates', p_place)
        WHEN COALESCE(n.lat, n.lng) IS NULL THEN '{}'
        ELSE jsonb_build_object('coordinates', jsonb_build_object('lat', n.lat, 'lng', n.lng)) END
    FROM (SELECT max(d.number::text) FILTER (WHERE k.name = 'lat')::jsonb AS lat,
                 max(d.number::text) FILTER (WHERE k.name = 'lng')::jsonb AS lng
          FROM unnest(ARRAY['lat', 'lng']) AS k (name)
          CROSS JOIN LATERAL (SELECT btrim(p_place ->> k.name, E' \t\n\r\f\x0B') AS text) t
          CROSS JOIN LATERAL (SELECT CASE
              WHEN jsonb_typeof(p_place -> k.name) IS DISTINCT FROM 'string' THEN NULLIF(p_place -> k.name, 'null')
              WHEN t.text ~ '^[+-]?[0-9]{1,10}(\.[0-9]{1,30})?$' THEN to_jsonb(t.text::numeric)
              WHEN t.text <> '' THEN p_place -> k.name END AS number) d) n
$$;

-- A meter number as text, as number, or in an object that names it.
CREATE FUNCTION oms_topology.meter_number_of(p_item jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.number
    FROM unnest(CASE jsonb_typeof(p_item) WHEN 'object'
                THEN ARRAY[p_item -> 'meterNumber', p_item -> 'meter_number', p_item -> 'meterId', p_item -> 'meter_id', p_item -> 'id']
                ELSE ARRAY[p_item] END) WITH ORDINALITY AS n (said, place)
    CROSS JOIN LATERAL (SELECT btrim(n.said #>> '{}', E' \t\n\r\f\x0B') AS number
                        WHERE jsonb_typeof(n.said) IN ('string', 'number')) t
    WHERE length(t.number) BETWEEN 1 AND 64
    ORDER BY n.place LIMIT 1
$$;

-- The meter numbers of a list, each once: texts, numbers or objects that name one; whatever else it holds is a finding.
CREATE FUNCTION oms_topology.meter_numbers(p_list jsonb, OUT numbers text[], OUT trouble jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    p_list := CASE COALESCE(jsonb_typeof(p_list), 'null') WHEN 'null' THEN '[]' WHEN 'array' THEN p_list
                   ELSE jsonb_build_array(p_list) END;
    WITH said AS (
        SELECT e.place, oms_topology.meter_number_of(e.item) AS number
        FROM jsonb_array_elements(p_list) WITH ORDINALITY AS e (item, place)
    ), first AS (
        SELECT s.number, min(s.place) AS place FROM said s GROUP BY s.number
    )
    SELECT COALESCE(array_agg(f.number ORDER BY f.place) FILTER (WHERE f.number IS NOT NULL), '{}'),
           CASE WHEN bool_or(f.number IS NULL) THEN oms_topology.finding('associatedMeters', 'holds what is not a meter number') END
    INTO numbers, trouble
    FROM first f;
END $$;

-- Any form of an ONU message as one parsed form, as parse_scada gives it.
CREATE FUNCTION oms_topology.parse_onu(p_message jsonb, p_received_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said     record;
    at       record;
    place    record;
    listed   record;
    field    record;
    meaning  record;
    alarm    jsonb;
    details  jsonb := '{}';
    findings jsonb := '[]';
    kind     text;
    hash     text;
BEGIN
    SELECT * INTO said FROM oms_topology.unwrap(p_message);
    IF said.error IS NOT NULL THEN
        RETURN jsonb_build_object('error', said.error);
    END IF;
    SELECT value INTO kind FROM oms_topology.text_field(said.event, 'type', 1000);
    IF kind IS NULL THEN
        RETURN oms_topology.unusable('type', 'missing or not a text');
    END IF;
    SELECT * INTO at FROM oms_topology.event_time(said.event, said.envelope, p_received_at,
        (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'onu'));
    IF at.error IS NOT NULL THEN
        RETURN at.error;
    END IF;
    SELECT * INTO place FROM oms_topology.coordinate_fields(oms_topology.numeric_place(said.event -> 'location'));
    place.trouble := jsonb_set(place.trouble, '{field}', '"location"');
    SELECT * INTO listed FROM oms_topology.meter_numbers(said.event -> 'associatedMeters');
    findings := findings || COALESCE(at.trouble, '[]') || COALESCE(place.trouble, '[]') || COALESCE(listed.trouble, '[]');

    alarm := said.event -> 'alarmData';
    FOR field IN
        SELECT f.key, t.value, t.trouble
        FROM (VALUES ('event_id', said.event, 'eventId', 100), ('event_type', said.event, 'type', 50),
                     ('onu_id', said.event, 'onuId', 100), ('onu_serial_no', said.event, 'onuSerial', 100),
                     ('nms_type', said.event, 'nmsType', 50),
                     ('alarm_category', alarm, 'category', 20),
                     ('alarm_type', alarm, 'alarmType', 20),
                     ('parcel_code', alarm, 'parcel', 50),
                     ('serial_number', alarm, 'serial', 100)) AS f (key, node, name, max)
        CROSS JOIN LATERAL oms_topology.text_field(f.node, f.name, f.max) t
    LOOP
        findings := findings || COALESCE(field.trouble, '[]');
        details := details || jsonb_build_object(field.key, field.value);
    END LOOP;
    IF COALESCE(jsonb_typeof(alarm), 'null') NOT IN ('null', 'object') THEN
        findings := findings || oms_topology.finding('alarmData', 'not an object');
    END IF;
    IF NOT oms_topology.is_onu_id(details ->> 'onu_id') THEN
        findings := findings || oms_topology.finding('onuId', 'not an id of an ONU');
        details := details || '{"onu_id": null}';
    END IF;
    details := details || jsonb_build_object('onu_id', (details ->> 'onu_id')::bigint::text);
    IF details ->> 'onu_id' IS NULL AND details ->> 'onu_serial_no' IS NULL AND listed.numbers = '{}' THEN
        RETURN oms_topology.unusable('onuId', 'missing or unusable, and neither onuSerial nor associatedMeters names a device');
    END IF;
    details := details || jsonb_build_object('event_type', COALESCE(details ->> 'event_type', left(kind, 50)));
    meaning := oms_topology.onu_meaning(kind);
    IF NOT meaning.is_known THEN
        findings := findings || oms_topology.finding('type', 'not a known type; nothing follows from it');
    END IF;

    -- An id that is too long to be the key still tells events apart.
    hash := oms_topology.content_hash(ARRAY[
        (SELECT value FROM oms_topology.text_field(said.event, 'eventId', 1048576)), kind, CASE jsonb_typeof(said.event -> 'timestamp') WHEN 'string' THEN said.event ->> 'timestamp' END,
        details ->> 'onu_id', details ->> 'onu_serial_no', details ->> 'nms_type', details ->> 'alarm_category',
        details ->> 'alarm_type', details ->> 'parcel_code', details ->> 'serial_number',
        place.latitude::text, place.longitude::text] || listed.numbers);
    RETURN jsonb_build_object(
        'source_event_id', COALESCE(details ->> 'event_id', 'sha256:' || hash), 'content_hash', hash,
        'device_kind', CASE WHEN COALESCE(details ->> 'onu_id', details ->> 'onu_serial_no') IS NULL THEN 'meter' ELSE 'onu' END,
        'device_code', COALESCE(details ->> 'onu_id', details ->> 'onu_serial_no', listed.numbers[1]),
        'power_status', COALESCE(meaning.power_status, 'unknown'), 'communication_status', meaning.communication_status,
        'occurred_at', oms_topology.iso_time(at.occurred_at), 'sent_at', oms_topology.iso_time(at.sent_at),
        'time_is_sound', at.is_sound, 'findings', findings, 'payload', said.event,
        'details', details || jsonb_build_object(
            'latitude', place.latitude::text, 'longitude', place.longitude::text, 'meter_numbers', to_jsonb(listed.numbers)));
END $$;

CREATE FUNCTION oms_topology.is_onu_id(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_text IS NULL OR CASE WHEN p_text ~ '^[0-9]{1,10}$' THEN p_text::bigint <= 2147483647 ELSE false END
$$;

-- Registers ONUs that nobody knows, with what the first message of each says of it. A serial that another ONU
-- bears stays there: a serial is of one ONU, and which of the two has it now is not ours to guess.
CREATE FUNCTION oms_topology.register_onus(p_parsed jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    unknown jsonb[];
BEGIN
    SELECT array_agg(u.details ORDER BY (u.details ->> 'onu_id')::integer) INTO unknown
    FROM (SELECT DISTINCT ON (u.parsed #> '{details,onu_id}') u.parsed -> 'details' AS details
          FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
          WHERE u.parsed #>> '{details,onu_id}' IS NOT NULL
          ORDER BY u.parsed #> '{details,onu_id}', u.place) u
    WHERE NOT EXISTS (SELECT FROM public.onus o WHERE o.id = (u.details ->> 'onu_id')::integer);
    -- Without a power event nothing is known of its power; the column's default would say "none".
    INSERT INTO public.onus (id, onu_serial_no, onu_power_flag, location_lat, location_lng)
    SELECT (d ->> 'onu_id')::integer, d ->> 'onu_serial_no', NULL, (d ->> 'latitude')::numeric, (d ->> 'longitude')::numeric
    FROM unnest(unknown) AS d
    ON CONFLICT DO NOTHING;
    INSERT INTO public.onus (id, onu_power_flag, location_lat, location_lng)
    SELECT (d ->> 'onu_id')::integer, NULL, (d ->> 'latitude')::numeric, (d ->> 'longitude')::numeric
    FROM unnest(unknown) AS d
    ON CONFLICT (id) DO NOTHING;
END $$;

-- The numbers of the ONUs of parsed messages, in their order, new ones registered and all of them locked; NULL
-- where a serial is all there is and no ONU bears it.
CREATE FUNCTION oms_topology.onus_of(p_parsed jsonb[]) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    onu_nos integer[] := ARRAY(SELECT (u.parsed #>> '{details,onu_id}')::integer FROM unnest(p_parsed) AS u (parsed));
BEGIN
    IF (SELECT count(DISTINCT u.onu_no) FROM unnest(onu_nos) AS u (onu_no))
       > (SELECT count(*) FROM public.onus o WHERE o.id = ANY (onu_nos)) THEN
        PERFORM oms_topology.register_onus(p_parsed);
    END IF;
    IF array_position(onu_nos, NULL) IS NOT NULL THEN
        onu_nos := ARRAY(
            SELECT COALESCE(u.onu_no,
                            (SELECT o.id FROM public.onus o WHERE o.onu_serial_no = u.parsed #>> '{details,onu_serial_no}'))
            FROM unnest(p_parsed, onu_nos) WITH ORDINALITY AS u (parsed, onu_no, place) ORDER BY u.place);
    END IF;
    -- Which meters an ONU has may depend on what it said before: its messages go one after the other.
    PERFORM FROM public.onus o WHERE o.id = ANY (onu_nos) ORDER BY o.id FOR NO KEY UPDATE;
    RETURN onu_nos;
END $$;

-- A meter that no registry has is on every ONU that ever named it, whichever message came first.
CREATE TABLE oms_topology.provisional_onu (
    onu_id   integer NOT NULL,
    meter_no integer NOT NULL,
    CONSTRAINT provisional_onu_pkey PRIMARY KEY (onu_id, meter_no),
    CONSTRAINT provisional_onu_meter_no_fkey FOREIGN KEY (meter_no)
        REFERENCES oms_topology.provisional_meter (meter_no) ON DELETE CASCADE
);
CREATE INDEX provisional_onu_meter_idx ON oms_topology.provisional_onu (meter_no);
COMMENT ON TABLE oms_topology.provisional_onu IS 'ONUs that named a provisional meter: what they say concerns it.';

-- Notes which ONUs named which provisional meters, and lets these have what their ONUs said before.
CREATE FUNCTION oms_topology.join_onus(p_onu_nos integer[], p_meter_nos integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    earlier record;
BEGIN
    WITH joined AS (
        INSERT INTO oms_topology.provisional_onu (onu_id, meter_no)
        SELECT DISTINCT u.onu_no, p.meter_no
        FROM unnest(p_onu_nos, p_meter_nos) AS u (onu_no, meter_no)
        JOIN oms_topology.provisional_meter p ON p.meter_no = u.meter_no
        WHERE u.onu_no IS NOT NULL ORDER BY u.onu_no, p.meter_no
        ON CONFLICT DO NOTHING
        RETURNING onu_id, meter_no
    )
    SELECT array_agg(s.signal_no) AS signal_nos, array_agg(j.meter_no) AS meter_nos,
           array_agg((oms_topology.onu_meaning(e.event_type)).communication_status) AS communication_statuses,
           array_agg(jsonb_build_object('onu_id', j.onu_id)) AS metadata
    INTO earlier
    FROM joined j
    JOIN public.onu_events e ON e.onu_id = j.onu_id
    CROSS JOIN LATERAL oms_topology.text_field(e.raw_payload, 'eventId', 100) AS said
    CROSS JOIN LATERAL (  -- the event's id, also where it had to be told apart
        SELECT s.signal_no FROM oms_topology.signal s
        WHERE s.source = 'onu' AND s.source_event_id IN (e.event_id, said.value)
          AND (s.result ->> 'onu_event_id')::integer = e.id AND (s.result ->> 'meters_synced')::boolean LIMIT 1) s
    WHERE NOT EXISTS (SELECT FROM oms_topology.meter_report r WHERE r.meter_no = j.meter_no AND r.signal_no = s.signal_no);
    IF earlier.signal_nos IS NOT NULL THEN
        PERFORM oms_topology.record_meter_reports(
            earlier.signal_nos, earlier.meter_nos, earlier.communication_statuses, earlier.metadata);
    END IF;
END $$;

-- All meters that ONU messages concern, as pairs of a message's place and a meter, of each message in the order
-- of their numbers: those on the ONU in either registry, and those a message names, registered if nobody knew them.
CREATE FUNCTION oms_topology.meters_of_onus(
    p_parsed jsonb[], p_onu_nos integer[], OUT places integer[], OUT meter_nos integer[], OUT meter_ids uuid[],
    OUT registered integer[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named        text[];
    named_places integer[];
BEGIN
    SELECT array_agg(n.number ORDER BY n.place), array_agg(n.place ORDER BY n.place) INTO named, named_places
    FROM (SELECT u.place::integer AS place, l.number
          FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
          CROSS JOIN LATERAL jsonb_array_elements_text(u.parsed #> '{details,meter_numbers}') AS l (number)
          UNION ALL
          SELECT o.place::integer, l.meter_id::text
          FROM unnest(p_onu_nos) WITH ORDINALITY AS o (onu_no, place)
          CROSS JOIN LATERAL (SELECT l.meter_id, l.oms_meter_id FROM public.meters l WHERE l.onu_id = o.onu_no OFFSET 0) l
          WHERE l.oms_meter_id IS NULL) n;
    IF named IS NOT NULL THEN
        registered := oms_topology.register_meters(named, ARRAY(
            SELECT p_parsed[n.place] -> 'details' || jsonb_build_object('onu_id', p_onu_nos[n.place])
            FROM unnest(named_places) WITH ORDINALITY AS n (place, at) ORDER BY n.at));
    END IF;
    SELECT array_agg(x.place ORDER BY x.place, x.number), array_agg(x.meter_no ORDER BY x.place, x.number),
           array_agg(x.id ORDER BY x.place, x.number)
    INTO places, meter_nos, meter_ids
    FROM (SELECT o.place::integer, m.meter_no, m.id, m.meter_number COLLATE "C" AS number
          FROM unnest(p_onu_nos) WITH ORDINALITY AS o (onu_no, place)
          CROSS JOIN LATERAL (
              SELECT m.meter_no, m.id, m.meter_number, m.status FROM public.oms_meters m WHERE m.onu_id = o.onu_no
              UNION ALL
              SELECT m.meter_no, m.id, m.meter_number, m.status
              FROM public.meters l JOIN public.oms_meters m ON m.id = l.oms_meter_id WHERE l.onu_id = o.onu_no
              UNION ALL
              SELECT m.meter_no, m.id, m.meter_number, m.status
              FROM oms_topology.provisional_onu j JOIN public.oms_meters m ON m.meter_no = j.meter_no
              WHERE j.onu_id = o.onu_no OFFSET 0) m
          WHERE COALESCE(m.status, 'active') = 'active'
          UNION
          SELECT named_places[f.at], f.meter_no, m.id, m.meter_number COLLATE "C"
          FROM unnest(oms_topology.find_meters(named)) WITH ORDINALITY AS f (meter_no, at)
          CROSS JOIN LATERAL (SELECT m.id, m.meter_number FROM public.oms_meters m WHERE m.meter_no = f.meter_no LIMIT 1) m) x;
END $$;

-- Stores the event rows of new signals, those at p_places. A row that the deployed function left for the same
-- event is taken over, and has its id already; an id that stands for another event is told apart.
CREATE FUNCTION oms_topology.store_onu_events(
    p_parsed jsonb[], p_places integer[], p_event_nos integer[], p_are_known boolean[], p_onu_nos integer[], p_meter_ids uuid[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    places  integer[] := p_places;
    missing integer;
    stored  integer;
BEGIN
    IF array_position(p_are_known, true) IS NOT NULL THEN
        places := ARRAY(SELECT w.place FROM unnest(p_places) AS w (place) WHERE NOT p_are_known[w.place]);
    END IF;
    missing := cardinality(places);
    FOR is_told_apart IN 0 .. 1 LOOP
        EXIT WHEN missing = 0;
        INSERT INTO public.onu_events
            (id, event_id, onu_id, event_type, "timestamp", alarm_category, alarm_type, parcel_code, serial_number,
             location_lat, location_lng, nms_type, raw_payload, meter_id)
        SELECT p_event_nos[w.place],
               CASE is_told_apart WHEN 0 THEN left(d.key, 100)
                   ELSE left(d.key, 80) || '#' || left(d.parsed ->> 'content_hash', 16) END,
               p_onu_nos[w.place], d.details ->> 'event_type', (d.parsed ->> 'occurred_at')::timestamptz,
               d.details ->> 'alarm_category', d.details ->> 'alarm_type', d.details ->> 'parcel_code',
               d.details ->> 'serial_number', (d.details ->> 'latitude')::numeric, (d.details ->> 'longitude')::numeric,
               d.details ->> 'nms_type', d.parsed -> 'payload', p_meter_ids[w.place]
        FROM unnest(places) AS w (place)
        CROSS JOIN LATERAL (SELECT p_parsed[w.place] AS parsed, p_parsed[w.place] -> 'details' AS details,
                                   p_parsed[w.place] ->> 'source_event_id' AS key OFFSET 0) d
        WHERE is_told_apart = 0 OR NOT EXISTS (SELECT FROM public.onu_events e WHERE e.id = p_event_nos[w.place])
        ORDER BY d.key COLLATE "C", p_event_nos[w.place]
        ON CONFLICT (event_id) DO NOTHING;
        GET DIAGNOSTICS stored = ROW_COUNT;
        missing := missing - stored;
    END LOOP;
END $$;

-- What the newest of the messages at p_places says of the ONU itself; at one instant power counts.
-- The rows are locked as they are updated: in the order of the ONUs, which a join by loops keeps.
CREATE FUNCTION oms_topology.flag_onus(p_parsed jsonb[], p_places integer[], p_onu_nos integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE public.onus o
    SET onu_power_flag = u.has_power, onu_power_flag_date = u.occurred_at, updated_at = clock_timestamp()
    FROM (SELECT DISTINCT ON (s.onu_no) s.onu_no, s.power_status = 'on' AS has_power, s.occurred_at
          FROM (SELECT p_onu_nos[w.place] AS onu_no, p_parsed[w.place] ->> 'power_status' AS power_status,
                       (p_parsed[w.place] ->> 'occurred_at')::timestamptz AS occurred_at,
                       (p_parsed[w.place] ->> 'time_is_sound')::boolean AS time_is_sound
                FROM unnest(p_places) AS w (place) OFFSET 0) s
          WHERE s.power_status <> 'unknown' AND s.time_is_sound
          ORDER BY s.onu_no, s.occurred_at DESC, s.power_status = 'on' DESC) u
    WHERE o.id = u.onu_no
      AND (o.onu_power_flag_date IS NULL OR o.onu_power_flag_date < u.occurred_at
           OR o.onu_power_flag_date = u.occurred_at AND u.has_power);
END $$;

-- Records what the ONU messages at p_wanted say of their meters; pairs of a message's place and a meter.
CREATE FUNCTION oms_topology.sync_onu_meters(
    p_signal_nos bigint[], p_parsed jsonb[], p_onu_nos integer[], p_places integer[], p_meter_nos integer[], p_wanted integer[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pair record;
BEGIN
    SELECT array_agg(p_signal_nos[u.place]) AS signal_nos, array_agg(u.meter_no) AS meter_nos,
           array_agg(u.parsed ->> 'communication_status') AS communication_statuses,
           array_agg(jsonb_build_object('onu_id', p_onu_nos[u.place])) AS metadata
    INTO pair
    FROM (SELECT f.place, f.meter_no, p_parsed[f.place] AS parsed
          FROM unnest(p_places, p_meter_nos) AS f (place, meter_no)
          JOIN unnest(p_wanted) AS w (place) ON w.place = f.place) u
    WHERE u.parsed ->> 'power_status' <> 'unknown' OR u.parsed ->> 'communication_status' IS NOT NULL;
    IF pair.signal_nos IS NOT NULL THEN
        PERFORM oms_topology.record_meter_reports(pair.signal_nos, pair.meter_nos, pair.communication_statuses, pair.metadata);
    END IF;
END $$;

-- What each message would give, were it new: its event row's number, whether a row of the deployed function
-- stands for it already, the first of its meters, and its result.
CREATE FUNCTION oms_topology.plan_onu_events(
    p_parsed jsonb[], p_places integer[], p_meter_ids uuid[], p_is_whole boolean,
    OUT event_nos integer[], OUT are_known boolean[], OUT first_meter_ids uuid[], OUT results jsonb[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT array_agg(x.event_no ORDER BY x.place), array_agg(x.is_known ORDER BY x.place),
           array_agg(p_meter_ids[x.first_at] ORDER BY x.place),
           array_agg(jsonb_build_object('onu_event_id', x.event_no, 'meters_synced', p_is_whole,
                                        'total_meters', COALESCE(x.meters, 0)) ORDER BY x.place)
    INTO event_nos, are_known, first_meter_ids, results
    FROM (SELECT u.place, m.meters, m.first_at, e.id IS NOT NULL AS is_known,
                 COALESCE(e.id, nextval('public.onu_events_id_seq'))::integer AS event_no
          FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
          LEFT JOIN (SELECT f.place, count(*) AS meters, min(f.at) AS first_at
                     FROM unnest(p_places) WITH ORDINALITY AS f (place, at) GROUP BY f.place) m ON m.place = u.place
          LEFT JOIN LATERAL (
              SELECT e.id FROM public.onu_events e
              WHERE e.event_id = left(u.parsed ->> 'source_event_id', 100) AND e.raw_payload = u.parsed -> 'payload' LIMIT 1) e ON true) x;
END $$;

-- Signals that came before without their meters (insert_onu_event_from_json alone) get them now.
CREATE FUNCTION oms_topology.complete_onu_events(p_signal_nos bigint[], p_first_meter_ids uuid[], p_results jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE public.onu_events e SET meter_id = u.meter_id
    FROM unnest(p_signal_nos, p_first_meter_ids) AS u (signal_no, meter_id)
    JOIN oms_topology.signal s ON s.signal_no = u.signal_no
    WHERE u.meter_id IS NOT NULL AND e.id = (s.result ->> 'onu_event_id')::integer;
    UPDATE oms_topology.signal s
    SET result = u.result || jsonb_build_object('onu_event_id', s.result -> 'onu_event_id')
    FROM unnest(p_signal_nos, p_results) AS u (signal_no, result) WHERE s.signal_no = u.signal_no;
END $$;

-- One batch of parsed ONU messages, whole or without their meters; one result for each, in order.
CREATE FUNCTION oms_topology.record_onu_messages(p_parsed jsonb[], p_received_at timestamptz, p_is_whole boolean) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    onu_nos integer[] := oms_topology.onus_of(p_parsed);
    found   record;
    planned record;
    said    record;
    fresh   record;
BEGIN
    IF array_position(onu_nos, NULL) IS NOT NULL THEN
        IF EXISTS (SELECT FROM unnest(p_parsed, onu_nos) AS u (parsed, onu_no)
                   WHERE u.onu_no IS NULL AND u.parsed #> '{details,meter_numbers}' = '[]') THEN
            RETURN oms_topology.record_usable_onu_messages(p_parsed, onu_nos, p_received_at, p_is_whole);
        END IF;
    END IF;
    SELECT * INTO found FROM oms_topology.meters_of_onus(
        CASE WHEN p_is_whole THEN p_parsed ELSE '{}' END, CASE WHEN p_is_whole THEN onu_nos ELSE '{}' END);
    SELECT * INTO planned FROM oms_topology.plan_onu_events(p_parsed, found.places, found.meter_ids, p_is_whole);
    SELECT * INTO said FROM oms_topology.accept_signals(
        'onu', oms_topology.note_onus_without_meters(p_parsed, planned.first_meter_ids, p_is_whole), p_received_at,
        '{}', planned.results);

    SELECT array_agg(u.place::integer) FILTER (WHERE u.is_new) AS places,
           array_agg(u.place::integer) FILTER (WHERE NOT u.is_new AND p_is_whole AND (s.result ->> 'meters_synced') = 'false') AS late_places,
           array_agg(CASE WHEN u.is_new THEN u.result ELSE s.result END || jsonb_build_object('duplicate', NOT u.is_new)
                     ORDER BY u.place) AS results
    INTO fresh
    FROM unnest(said.signal_nos, said.are_new, planned.results) WITH ORDINALITY AS u (signal_no, is_new, result, place)
    LEFT JOIN LATERAL (SELECT s.result FROM oms_topology.signal s WHERE NOT u.is_new AND s.signal_no = u.signal_no LIMIT 1) s ON true;

    IF found.registered <> '{}' THEN
        PERFORM oms_topology.mark_provisional(
            found.registered, ARRAY(SELECT said.signal_nos[p.place] FROM unnest(found.places) WITH ORDINALITY AS p (place, at) ORDER BY p.at),
            found.meter_nos);
    END IF;
    IF found.places IS NOT NULL THEN
        PERFORM oms_topology.sync_onu_meters(
            said.signal_nos, p_parsed, onu_nos, found.places, found.meter_nos, fresh.places || fresh.late_places);
    END IF;
    IF fresh.places IS NOT NULL THEN
        PERFORM oms_topology.store_onu_events(
            p_parsed, fresh.places, planned.event_nos, planned.are_known, onu_nos, planned.first_meter_ids);
        PERFORM oms_topology.flag_onus(p_parsed, fresh.places, onu_nos);
    END IF;
    IF EXISTS (SELECT FROM oms_topology.provisional_meter p WHERE p.meter_no = ANY (found.meter_nos)) THEN
        PERFORM oms_topology.join_onus(array_agg(onu_nos[f.place]), array_agg(f.meter_no))
        FROM unnest(found.places, found.meter_nos) AS f (place, meter_no);
    END IF;
    IF fresh.late_places IS NOT NULL THEN
        PERFORM oms_topology.complete_onu_events(
            array_agg(said.signal_nos[w.place]), array_agg(planned.first_meter_ids[w.place]), array_agg(planned.results[w.place]))
        FROM unnest(fresh.late_places) AS w (place);
    END IF;
    RETURN fresh.results;
END $$;

CREATE FUNCTION oms_topology.note_onus_without_meters(p_parsed jsonb[], p_first_meter_ids uuid[], p_is_whole boolean)
RETURNS jsonb[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT p_is_whole OR array_position(p_first_meter_ids, NULL) IS NULL THEN
        RETURN p_parsed;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN u.meter_id IS NULL THEN u.parsed || jsonb_build_object(
                   'findings', u.parsed -> 'findings' || oms_topology.finding('onuId', 'no meter is known at this ONU'))
               ELSE u.parsed END
        FROM unnest(p_parsed, p_first_meter_ids) WITH ORDINALITY AS u (parsed, meter_id, place) ORDER BY u.place);
END $$;

-- The same where some messages name nothing that is known: these are refused, the others recorded.
CREATE FUNCTION oms_topology.record_usable_onu_messages(
    p_parsed jsonb[], p_onu_nos integer[], p_received_at timestamptz, p_is_whole boolean
) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    usable  integer[] := ARRAY(
        SELECT u.place FROM unnest(p_parsed, p_onu_nos) WITH ORDINALITY AS u (parsed, onu_no, place)
        WHERE u.onu_no IS NOT NULL OR u.parsed #> '{details,meter_numbers}' <> '[]' ORDER BY u.place);
    results jsonb[] := '{}';
BEGIN
    IF usable <> '{}' THEN
        results := oms_topology.record_onu_messages(
            ARRAY(SELECT p_parsed[u.place] FROM unnest(usable) WITH ORDINALITY AS u (place, at) ORDER BY u.at),
            p_received_at, p_is_whole);
    END IF;
    RETURN oms_topology.woven(
        array_fill(oms_topology.unusable('onuSerial', 'no ONU has this serial number'), ARRAY[cardinality(p_parsed)]),
        usable, results);
END $$;

-- One ONU message at the SQL door; gives its event row's number, NULL for what became a dead letter.
CREATE FUNCTION oms_topology.record_onu(p_message jsonb, p_received_at timestamptz, p_is_whole boolean) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parsed jsonb := oms_topology.parse_onu(p_message, p_received_at);
BEGIN
    IF parsed ? 'error' THEN
        PERFORM oms_topology.keep_unusable('onu', parsed -> 'error', p_message);
        RETURN NULL;
    END IF;
    RETURN (SELECT r.results[1] ->> 'onu_event_id'
            FROM oms_topology.record_messages('onu', ARRAY[parsed], ARRAY[convert_to(p_message::text, 'UTF8')],
                                              p_received_at, p_is_whole) AS r (results))::integer;
END $$;

DROP FUNCTION IF EXISTS public.insert_onu_event_from_json_with_meter_sync(jsonb);
CREATE FUNCTION public.insert_onu_event_from_json_with_meter_sync(json_data jsonb) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.record_onu(json_data, now(), true)
$$;

DROP FUNCTION IF EXISTS public.insert_onu_event_from_json(jsonb);
CREATE FUNCTION public.insert_onu_event_from_json(json_data jsonb) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.record_onu(json_data, now(), false)
$$;
