-- The ONU door: an optical terminal speaks for itself and for every meter on it.

CREATE FUNCTION oms_topology.onu_power_status(p_event_type text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE lower(p_event_type) WHEN 'onu_lastgaspalert' THEN 'off' WHEN 'onu_powerrestored' THEN 'on' ELSE 'unknown' END
$$;

-- {lat, lng} as numbers or as text, either empty, in the form that coordinate_fields reads.
CREATE FUNCTION oms_topology.numeric_place(p_place jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN COALESCE(jsonb_typeof(p_place), 'null') NOT IN ('null', 'object') THEN jsonb_build_object('coordinates', p_place)
        WHEN NULLIF(btrim(p_place ->> 'lat'), '') IS NULL AND NULLIF(btrim(p_place ->> 'lng'), '') IS NULL THEN '{}'
        ELSE jsonb_build_object('coordinates', (
            SELECT jsonb_object_agg(k.name, CASE WHEN btrim(p_place ->> k.name) ~ '^[+-]?\d{1,10}(\.\d{1,30})?$'
                THEN to_jsonb(btrim(p_place ->> k.name)::numeric) ELSE p_place -> k.name END)
            FROM unnest(ARRAY['lat', 'lng']) AS k (name))) END
$$;

-- The meter numbers of a list: texts, numbers or objects that name one; whatever else it holds is a finding.
CREATE FUNCTION oms_topology.meter_numbers(p_list jsonb, OUT numbers text[], OUT trouble jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_list) IN ('string', 'number', 'object') THEN
        p_list := jsonb_build_array(p_list);
    ELSIF jsonb_typeof(p_list) IS DISTINCT FROM 'array' THEN
        p_list := '[]';
    END IF;
    SELECT array_agg(n.number ORDER BY n.place) FILTER (WHERE length(n.number) <= 64),
           CASE WHEN bool_or(n.number IS NULL OR length(n.number) > 64)
                THEN oms_topology.finding('associatedMeters', 'holds what is not a meter number') END
    INTO numbers, trouble
    FROM (SELECT e.place, NULLIF(btrim(CASE WHEN jsonb_typeof(e.item) IN ('string', 'number') THEN e.item #>> '{}'
                ELSE COALESCE(e.item ->> 'meterNumber', e.item ->> 'meterId', e.item ->> 'meter_number') END,
                E' \t\n\r\f\x0B'), '') AS number
          FROM jsonb_array_elements(p_list) WITH ORDINALITY AS e (item, place)) n;
    numbers := COALESCE(numbers, '{}');
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
    SELECT * INTO listed FROM oms_topology.meter_numbers(said.event -> 'associatedMeters');
    findings := findings || COALESCE(at.trouble, '[]') || COALESCE(place.trouble, '[]') || COALESCE(listed.trouble, '[]');

    FOR field IN
        SELECT f.key, t.value, t.trouble
        FROM (VALUES ('event_id', said.event, 'eventId', 100), ('event_type', said.event, 'type', 50),
                     ('onu_id', said.event, 'onuId', 100), ('onu_serial_no', said.event, 'onuSerial', 100),
                     ('nms_type', said.event, 'nmsType', 50),
                     ('alarm_category', said.event -> 'alarmData', 'category', 20),
                     ('alarm_type', said.event -> 'alarmData', 'alarmType', 20),
                     ('parcel_code', said.event -> 'alarmData', 'parcel', 50),
                     ('serial_number', said.event -> 'alarmData', 'serial', 100)) AS f (key, node, name, max)
        CROSS JOIN LATERAL oms_topology.text_field(f.node, f.name, f.max) t
    LOOP
        findings := findings || COALESCE(field.trouble, '[]');
        IF field.key = 'onu_id' AND NOT oms_topology.is_onu_id(field.value) THEN
            findings := findings || oms_topology.finding('onuId', 'not an id of an ONU');
            field.value := NULL;
        END IF;
        details := details || jsonb_build_object(field.key, field.value);
    END LOOP;
    IF details ->> 'onu_id' IS NULL AND details ->> 'onu_serial_no' IS NULL AND listed.numbers = '{}' THEN
        RETURN oms_topology.unusable('onuId', 'missing or unusable, and neither onuSerial nor associatedMeters names a device');
    END IF;

    hash := encode(sha256(convert_to(said.event::text, 'UTF8')), 'hex');
    RETURN jsonb_build_object(
        'source_event_id', COALESCE(details ->> 'event_id', 'sha256:' || hash), 'content_hash', hash,
        'device_kind', 'onu', 'device_code', COALESCE(details ->> 'onu_id', details ->> 'onu_serial_no'),
        'power_status', oms_topology.onu_power_status(kind),
        'occurred_at', oms_topology.iso_time(at.occurred_at), 'sent_at', oms_topology.iso_time(at.sent_at),
        'time_is_sound', at.is_sound, 'findings', findings, 'payload', said.event,
        'details', details || jsonb_build_object(
            'event_type', COALESCE(details ->> 'event_type', left(kind, 50)),
            'latitude', place.latitude::text, 'longitude', place.longitude::text, 'meter_numbers', to_jsonb(listed.numbers)));
END $$;

CREATE FUNCTION oms_topology.is_onu_id(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_text IS NULL OR CASE WHEN p_text ~ '^\d{1,10}$' THEN p_text::bigint <= 2147483647 ELSE false END
$$;

-- The number of the ONU of a message, registered if new. A serial that another one bears stays there:
-- a serial is of one ONU, and which of the two has it now is not ours to guess.
CREATE FUNCTION oms_topology.onu_of(p_details jsonb) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    onu_no integer := (p_details ->> 'onu_id')::integer;
BEGIN
    IF onu_no IS NULL THEN
        RETURN (SELECT o.id FROM public.onus o WHERE o.onu_serial_no = p_details ->> 'onu_serial_no');
    END IF;
    -- Without a power event nothing is known of its power; the column's default would say "none".
    INSERT INTO public.onus (id, onu_serial_no, onu_power_flag, location_lat, location_lng)
    VALUES (onu_no, p_details ->> 'onu_serial_no', NULL,
            (p_details ->> 'latitude')::numeric, (p_details ->> 'longitude')::numeric)
    ON CONFLICT DO NOTHING;
    INSERT INTO public.onus (id, onu_power_flag, location_lat, location_lng)
    VALUES (onu_no, NULL, (p_details ->> 'latitude')::numeric, (p_details ->> 'longitude')::numeric)
    ON CONFLICT (id) DO NOTHING;
    RETURN onu_no;
END $$;

-- Stores the event row of a signal and what it says of the ONU itself; gives the row's id. A row that the
-- deployed function left for the same event is taken over; an id that stands for another event is told apart.
CREATE FUNCTION oms_topology.store_onu_event(p_said oms_topology.signal, p_details jsonb, p_onu_no integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event_no integer;
    key      text := left(p_said.source_event_id, 100);
BEGIN
    SELECT e.id INTO event_no FROM public.onu_events e WHERE e.event_id = key AND e.raw_payload = p_said.payload;
    WHILE event_no IS NULL LOOP
        INSERT INTO public.onu_events
            (event_id, onu_id, event_type, "timestamp", alarm_category, alarm_type, parcel_code, serial_number,
             location_lat, location_lng, nms_type, raw_payload)
        VALUES (key, p_onu_no, p_details ->> 'event_type', p_said.occurred_at, p_details ->> 'alarm_category',
                p_details ->> 'alarm_type', p_details ->> 'parcel_code', p_details ->> 'serial_number',
                (p_details ->> 'latitude')::numeric, (p_details ->> 'longitude')::numeric,
                p_details ->> 'nms_type', p_said.payload)
        ON CONFLICT (event_id) DO NOTHING
        RETURNING id INTO event_no;
        key := left(p_said.source_event_id, 80) || '#' || left(p_said.content_hash, 16);
    END LOOP;
    IF p_said.power_status <> 'unknown' AND p_said.time_is_sound THEN
        UPDATE public.onus o
        SET onu_power_flag = p_said.power_status = 'on', onu_power_flag_date = p_said.occurred_at
        WHERE o.id = p_onu_no
          AND (o.onu_power_flag_date IS NULL OR o.onu_power_flag_date < p_said.occurred_at
               OR o.onu_power_flag_date = p_said.occurred_at AND p_said.power_status = 'on');
    END IF;
    RETURN event_no;
END $$;

-- All meters that an ONU event concerns: those on the ONU in either registry, and those it names.
CREATE FUNCTION oms_topology.meters_of_onu_event(p_signal_no bigint, p_details jsonb, p_onu_no integer) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named text[] := ARRAY(SELECT jsonb_array_elements_text(p_details -> 'meter_numbers'));
    listed integer[];
BEGIN
    named := named || ARRAY(
        SELECT l.meter_id::text FROM public.meters l WHERE l.onu_id = p_onu_no AND l.oms_meter_id IS NULL);
    listed := oms_topology.meters_named(p_signal_no, named, p_details || jsonb_build_object('onu_id', p_onu_no));
    RETURN ARRAY(
        SELECT m.meter_no FROM public.oms_meters m
        WHERE m.onu_id = p_onu_no AND COALESCE(m.status, 'active') = 'active'
        UNION
        SELECT m.meter_no FROM public.meters l JOIN public.oms_meters m ON m.id = l.oms_meter_id
        WHERE l.onu_id = p_onu_no AND COALESCE(m.status, 'active') = 'active'
        UNION
        SELECT unnest(listed)
        ORDER BY 1);
END $$;

-- Carries an ONU's power to its meters. Its last words are its last: it is offline from then on.
CREATE FUNCTION oms_topology.sync_onu_meters(
    p_said oms_topology.signal, p_details jsonb, p_onu_no integer, p_event_no integer
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meters integer[] := oms_topology.meters_of_onu_event(p_said.signal_no, p_details, p_onu_no);
BEGIN
    UPDATE public.onu_events
    SET meter_id = (SELECT m.id FROM public.oms_meters m WHERE m.meter_no = ANY (meters)
                    ORDER BY m.meter_number COLLATE "C" LIMIT 1)
    WHERE id = p_event_no;
    IF p_said.power_status <> 'unknown' AND meters <> '{}' THEN
        PERFORM oms_topology.record_meter_reports(
            p_said.signal_no, meters, p_said.power_status,
            CASE p_said.power_status WHEN 'on' THEN 'online' ELSE 'offline' END, jsonb_build_object('onu_id', p_onu_no));
    END IF;
    PERFORM oms_topology.finish_signal(
        p_said.signal_no,
        jsonb_build_object('onu_event_id', p_event_no, 'meters_synced', true, 'total_meters', cardinality(meters)),
        CASE WHEN meters = '{}' THEN jsonb_build_array(oms_topology.finding('onuId', 'no meter is known at this ONU'))
             ELSE '[]' END);
END $$;

-- One ONU message, whole; NULL for what became a dead letter.
CREATE FUNCTION oms_topology.record_onu(p_message jsonb, p_received_at timestamptz, p_syncs_meters boolean) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parsed   jsonb;
    details  jsonb;
    said     oms_topology.signal;
    onu_no   integer;
    event_no integer;
BEGIN
    parsed := oms_topology.parse_onu(p_message, p_received_at);
    details := parsed -> 'details';
    IF parsed ? 'error' THEN
        PERFORM oms_topology.keep_unusable('onu', parsed -> 'error', p_message);
        RETURN NULL;
    END IF;
    onu_no := oms_topology.onu_of(details);
    IF onu_no IS NULL AND details -> 'meter_numbers' = '[]' THEN
        PERFORM oms_topology.keep_unusable('onu', oms_topology.finding('onuSerial', 'no ONU has this serial number'), p_message);
        RETURN NULL;
    END IF;
    said := oms_topology.accept_signal('onu', parsed, p_received_at);
    event_no := (said.result ->> 'onu_event_id')::integer;
    IF event_no IS NULL THEN
        event_no := oms_topology.store_onu_event(said, details, onu_no);
        PERFORM oms_topology.finish_signal(
            said.signal_no, jsonb_build_object('onu_event_id', event_no, 'meters_synced', false));
    END IF;
    IF p_syncs_meters AND NOT COALESCE((said.result ->> 'meters_synced')::boolean, false) THEN
        PERFORM oms_topology.sync_onu_meters(said, details, onu_no, event_no);
    END IF;
    RETURN event_no;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    PERFORM oms_topology.keep_unusable('onu', oms_topology.finding('payload', 'cannot be stored: ' || SQLSTATE), p_message);
    RETURN NULL;
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
