-- The SCADA door: any form of the message -> one parsed form -> signal, event row, meters, outages.
-- oms_topology/events/scada.py parses to the same form; a test holds the two together.

-- A time in ISO 8601, naive ones in the given zone; NULL for anything else. Finer digits are cut off.
CREATE FUNCTION oms_topology.parse_time(p_text text, p_zone text) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO, YMD' AS $$
DECLARE
    part text[] := regexp_match(btrim(p_text, E' \t\n\r\f\x0b'),
        '^([12][0-9]{3}-[0-9]{2}-[0-9]{2})[Tt ]((?:[01][0-9]|2[0-3]):[0-5][0-9])(?::([0-5][0-9])(?:[.,]([0-9]{1,9}))?)?(?:([Zz])|([+-](?:0[0-9]|1[0-4])):?([0-5][0-9])?)?$');
    naive timestamp;
BEGIN
    IF part IS NULL THEN
        RETURN NULL;
    END IF;
    naive := (part[1] || ' ' || part[2] || ':' || COALESCE(part[3], '00') || '.' || left(COALESCE(part[4], '0'), 6))::timestamp;
    IF part[5] IS NOT NULL THEN
        RETURN naive AT TIME ZONE 'UTC';
    ELSIF part[6] IS NOT NULL THEN
        RETURN (naive - (part[6] || ':' || COALESCE(part[7], '00'))::interval) AT TIME ZONE 'UTC';
    END IF;
    RETURN naive AT TIME ZONE p_zone;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.iso_time(p_at timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

CREATE FUNCTION oms_topology.finding(p_field text, p_reason text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('field', p_field, 'reason', p_reason)
$$;

-- A field as trimmed text, numbers as written: [text or null, finding or null].
CREATE FUNCTION oms_topology.text_field(p_event jsonb, p_field text, p_max integer,
                                        OUT value text, OUT trouble jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF jsonb_typeof(p_event -> p_field) IN ('string', 'number') THEN
        value := NULLIF(btrim(p_event ->> p_field, E' \t\n\r\f\x0b'), '');
        IF length(value) > p_max THEN
            value := NULL;
            trouble := oms_topology.finding(p_field, 'longer than ' || p_max || ' characters');
        END IF;
    ELSIF jsonb_typeof(p_event -> p_field) IN ('boolean', 'array', 'object') THEN
        trouble := oms_topology.finding(p_field, 'not a text');
    END IF;
END $$;

-- What an alarm says of supply at the device and below; only what it says does.
CREATE FUNCTION oms_topology.scada_power_status(p_alarm text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN a IN ('de-energized', 'deenergized', 'de-energised', 'deenergised', 'fault', 'breaker-trip',
                   'power-failure', 'outage', 'mv-alarmlossofvoltage') THEN 'off'
        WHEN a IN ('energized', 'energised', 'mv-alarmrestoration') THEN 'on'
        ELSE 'unknown' END
    FROM (SELECT translate(lower(p_alarm COLLATE "C"), '_ ', '--') AS a) x
$$;

-- The hash of what an event says, text by text: events with one hash say the same. Python's hash_of_texts.
CREATE FUNCTION oms_topology.content_hash(p_texts text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(convert_to('[' || string_agg(COALESCE(to_jsonb(t.said)::text, 'null'), ',' ORDER BY t.place) || ']', 'UTF8')), 'hex')
    FROM unnest(p_texts) WITH ORDINALITY AS t (said, place)
$$;

-- A name without what writers of it choose at will: case, blanks and marks.
CREATE FUNCTION oms_topology.bare_name(p_name text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(lower(p_name COLLATE "C"), '[^a-z0-9]', '', 'g')
$$;

CREATE FUNCTION oms_topology.unusable(p_field text, p_reason text) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('error', oms_topology.finding(p_field, p_reason))
$$;

-- When it happened: [occurred_at, sent_at, is_sound, findings] or an error (decisions on time).
CREATE FUNCTION oms_topology.event_time(
    p_event jsonb, p_envelope jsonb, p_received_at timestamptz, p_zone text,
    OUT occurred_at timestamptz, OUT sent_at timestamptz, OUT is_sound boolean, OUT trouble jsonb, OUT error jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    slack constant interval := '5 minutes';
BEGIN
    is_sound := true;
    SELECT t.at INTO sent_at
    FROM unnest(ARRAY['timestamp', 'received_at', 'processed_at']) WITH ORDINALITY AS k (name, n)
    CROSS JOIN LATERAL (SELECT oms_topology.parse_time(p_envelope ->> k.name, p_zone) AS at
                        WHERE jsonb_typeof(p_envelope -> k.name) = 'string') t
    WHERE t.at >= '2000-01-01Z' AND t.at <= p_received_at + slack
    ORDER BY k.n LIMIT 1;
    IF jsonb_typeof(p_event -> 'timestamp') = 'string' THEN
        occurred_at := oms_topology.parse_time(p_event ->> 'timestamp', p_zone);
    END IF;
    IF occurred_at IS NULL THEN
        IF sent_at IS NULL THEN
            error := oms_topology.unusable('timestamp', CASE WHEN COALESCE(p_event -> 'timestamp', 'null') IN ('null', '""')
                THEN 'missing, and no envelope gives a time' ELSE 'not a time, and no envelope gives one' END);
            RETURN;
        END IF;
        occurred_at := sent_at;
        trouble := oms_topology.finding('timestamp', 'missing or not a time; the envelope''s time counts');
    ELSIF occurred_at < '2000-01-01Z' THEN
        occurred_at := p_received_at;
        is_sound := false;
        trouble := oms_topology.finding('timestamp', 'before the year 2000; counts at receipt');
    ELSIF occurred_at > COALESCE(sent_at, p_received_at) + slack THEN
        is_sound := sent_at IS NOT NULL;
        trouble := oms_topology.finding('timestamp', CASE WHEN sent_at IS NOT NULL
            THEN 'more than 5 minutes ahead of the envelope; the envelope''s time counts'
            ELSE 'more than 5 minutes ahead of receipt; counts at receipt' END);
        occurred_at := COALESCE(sent_at, p_received_at);
    END IF;
END $$;

CREATE FUNCTION oms_topology.coordinate_fields(p_event jsonb, OUT latitude numeric, OUT longitude numeric, OUT trouble jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    place jsonb := p_event -> 'coordinates';
BEGIN
    IF COALESCE(place, 'null') = 'null' THEN
        RETURN;
    END IF;
    IF jsonb_typeof(place -> 'lat') IS DISTINCT FROM 'number' OR jsonb_typeof(place -> 'lng') IS DISTINCT FROM 'number' THEN
        trouble := oms_topology.finding('coordinates', 'not a pair of numbers lat and lng');
    ELSIF (place ->> 'lat')::numeric NOT BETWEEN -90 AND 90 OR (place ->> 'lng')::numeric NOT BETWEEN -180 AND 180 THEN
        trouble := oms_topology.finding('coordinates', 'out of range');
    ELSIF (place ->> 'lat')::numeric = 0 AND (place ->> 'lng')::numeric = 0 THEN
        trouble := oms_topology.finding('coordinates', 'zero, which means unknown');
    ELSE
        latitude := round((place ->> 'lat')::numeric, 6);
        longitude := round((place ->> 'lng')::numeric, 6);
    END IF;
END $$;

-- Any form of a SCADA message (bare event, Kafka envelope, outbox record) as one parsed form:
-- {"error": {field, reason}} or the fields of a signal, with what was set aside under findings.
CREATE FUNCTION oms_topology.parse_scada(p_message jsonb, p_received_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    envelope   jsonb := '{}';
    event      jsonb := p_message;
    field      record;
    at         record;
    place      record;
    parsed     jsonb := '{}';
    findings   jsonb := '[]';
    codes      jsonb := '{}';
    alarm      text;
    hash       text;
BEGIN
    IF jsonb_typeof(p_message) IS DISTINCT FROM 'object' THEN
        RETURN oms_topology.unusable('payload', 'not a JSON object');
    ELSIF jsonb_path_exists(p_message, 'strict $.**{64}') THEN
        RETURN oms_topology.unusable('payload', 'nested too deeply');
    ELSIF octet_length(p_message::text) > 1048576 THEN
        RETURN oms_topology.unusable('payload', 'larger than 1 MiB');
    ELSIF jsonb_typeof(p_message -> 'event') = 'object' THEN
        envelope := p_message - 'event';
        event := p_message -> 'event';
    END IF;

    FOR field IN
        SELECT f.name, t.value, t.trouble
        FROM unnest(ARRAY['switchId', 'feederId', 'substationId']) AS f (name)
        CROSS JOIN LATERAL oms_topology.text_field(event, f.name, 64) t
    LOOP
        IF field.trouble IS NOT NULL THEN
            RETURN jsonb_build_object('error', field.trouble);
        END IF;
        codes := codes || jsonb_build_object(field.name, field.value);
    END LOOP;
    IF COALESCE(codes ->> 'switchId', codes ->> 'feederId', codes ->> 'substationId') IS NULL THEN
        RETURN oms_topology.unusable('substationId', 'missing, and so are feederId and switchId');
    END IF;

    SELECT * INTO at FROM oms_topology.event_time(event, envelope, p_received_at,
        (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'scada'));
    IF at.error IS NOT NULL THEN
        RETURN at.error;
    END IF;
    findings := findings || COALESCE(at.trouble, '[]');

    -- The alarm decides by its whole text, also where the column is too short to hold it.
    SELECT COALESCE((SELECT value FROM oms_topology.text_field(event, 'alarmType', 1000)),
                    (SELECT value FROM oms_topology.text_field(event, 'eventType', 1000))) INTO alarm;
    IF alarm IS NULL THEN
        RETURN oms_topology.unusable('alarmType', 'missing, and so is eventType');
    END IF;

    FOR field IN
        SELECT f.key, t.value, t.trouble
        FROM (VALUES ('event_type', 'eventType', 64), ('alarm_type', 'alarmType', 32),
                     ('main_station_id', 'mainStationId', 64), ('severity', 'severity', 16),
                     ('reason', 'reason', 2000)) AS f (key, name, max)
        CROSS JOIN LATERAL oms_topology.text_field(event, f.name, f.max) t
    LOOP
        findings := findings || COALESCE(field.trouble, '[]');
        IF field.key = 'severity' AND lower(field.value COLLATE "C") NOT IN ('low', 'medium', 'high', 'critical') THEN
            findings := findings || oms_topology.finding('severity', 'not low, medium, high or critical');
            field.value := NULL;
        END IF;
        parsed := parsed || jsonb_build_object(field.key, field.value);
    END LOOP;

    IF jsonb_typeof(event -> 'voltage') = 'number' AND (event ->> 'voltage')::numeric >= 0
       AND (event ->> 'voltage')::numeric < 999999999 THEN
        parsed := parsed || jsonb_build_object('voltage', round((event ->> 'voltage')::numeric, 3)::text);
    ELSE
        parsed := parsed || '{"voltage": null}';
        IF COALESCE(event -> 'voltage', 'null') <> 'null' THEN
            findings := findings || oms_topology.finding('voltage', 'not a number of volts');
        END IF;
    END IF;

    SELECT * INTO place FROM oms_topology.coordinate_fields(event);
    findings := findings || COALESCE(place.trouble, '[]');
    SELECT t.value, t.trouble INTO field
    FROM oms_topology.text_field(CASE WHEN event ? 'source' THEN event ELSE envelope END, 'source', 128) t;
    findings := findings || COALESCE(field.trouble, '[]');
    parsed := parsed || jsonb_build_object('latitude', place.latitude::text, 'longitude', place.longitude::text,
                                           'source', field.value,
                                           'substation_code', codes ->> 'substationId',
                                           'feeder_code', codes ->> 'feederId');

    -- The consumer adds "source" to the event before it calls; it is the envelope's, so not hashed.
    hash := encode(sha256(convert_to((event - 'source')::text, 'UTF8')), 'hex');
    SELECT t.value INTO field FROM oms_topology.text_field(event, 'eventId', 100) t;
    RETURN jsonb_build_object(
        'source_event_id', COALESCE(field.value, 'sha256:' || hash), 'content_hash', hash,
        'device_kind', CASE WHEN codes ->> 'switchId' IS NOT NULL THEN 'switch'
                            WHEN codes ->> 'feederId' IS NOT NULL THEN 'feeder' ELSE 'substation' END,
        'device_code', COALESCE(codes ->> 'switchId', codes ->> 'feederId', codes ->> 'substationId'),
        'power_status', oms_topology.scada_power_status(alarm),
        'occurred_at', oms_topology.iso_time(at.occurred_at), 'sent_at', oms_topology.iso_time(at.sent_at),
        'time_is_sound', at.is_sound, 'details', parsed, 'findings', findings);
END $$;

-- Messages put aside; gives the number of each, in order. One that was put aside before is counted there.
CREATE FUNCTION oms_topology.keep_dead_letters(p_source text, p_fields text[], p_reasons text[], p_payloads bytea[])
RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hashes text[] := ARRAY(SELECT encode(sha256(u.payload), 'hex') FROM unnest(p_payloads) WITH ORDINALITY AS u (payload, at) ORDER BY u.at);
BEGIN
    INSERT INTO oms_topology.dead_letter AS d (source, field, reason, payload, payload_hash, deliveries)
    SELECT p_source, u.field, min(u.reason), (array_agg(u.payload))[1], u.hash, count(*)
    FROM unnest(p_fields, p_reasons, p_payloads, hashes) AS u (field, reason, payload, hash)
    GROUP BY u.hash, u.field ORDER BY u.hash, u.field
    ON CONFLICT (source, payload_hash, field) DO UPDATE
    SET deliveries = d.deliveries + excluded.deliveries, reason = excluded.reason;
    RETURN ARRAY(
        SELECT d.dead_letter_no
        FROM unnest(p_fields, hashes) WITH ORDINALITY AS u (field, hash, at)
        JOIN oms_topology.dead_letter d ON d.source = p_source AND d.payload_hash = u.hash AND d.field = u.field
        ORDER BY u.at);
END $$;

CREATE FUNCTION oms_topology.keep_dead_letter(p_source text, p_field text, p_reason text, p_payload bytea) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT (oms_topology.keep_dead_letters(p_source, ARRAY[p_field], ARRAY[p_reason], ARRAY[p_payload]))[1]
$$;

-- The payload byte for byte where the caller still has it, else as its JSON reads.
CREATE FUNCTION oms_topology.dead_letter_result(p_source text, p_error jsonb, p_payload jsonb, p_raw bytea DEFAULT NULL)
RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'scada_event_id', NULL, 'meters_checked', false, 'duplicate', false,
        'reason', 'Dead letter: ' || (p_error ->> 'field') || ': ' || (p_error ->> 'reason'),
        'dead_letter_id', oms_topology.keep_dead_letter(
            p_source, p_error ->> 'field', p_error ->> 'reason',
            COALESCE(p_raw, convert_to(COALESCE(p_payload::text, ''), 'UTF8'))))
$$;

-- The device that a code names: a feeder's own, a substation's, or what hangs below a switch now.
CREATE FUNCTION oms_topology.find_device(p_kind text, p_code text) RETURNS integer
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_no integer;
BEGIN
    IF p_kind <> 'switch' THEN
        SELECT d.device_no INTO found_no FROM oms_topology.device d WHERE d.kind = p_kind AND d.code = p_code;
    ELSE
        SELECT d.device_no INTO found_no
        FROM oms_topology.branch b
        JOIN oms_topology.device d ON d.device_no = b.to_no AND b.from_no IN (d.parent_no, d.normal_parent_no)
            OR d.device_no = b.from_no AND b.to_no IN (d.parent_no, d.normal_parent_no)
        WHERE b.is_switch AND b.code = p_code
        ORDER BY d.parent_no IN (b.from_no, b.to_no) DESC LIMIT 1;
    END IF;
    RETURN found_no;
END $$;

-- Coordinates that fit the device only when read the other way round are set aside, never repaired.
CREATE FUNCTION oms_topology.is_swapped(p_device_no integer, p_latitude numeric, p_longitude numeric) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
    SELECT COALESCE(abs(p_latitude - d.longitude) < 1 AND abs(p_longitude - d.latitude) < 1
           AND (abs(p_latitude - d.latitude) > 1 OR abs(p_longitude - d.longitude) > 1), false)
    FROM oms_topology.device d WHERE d.device_no = p_device_no);
END $$;

-- Records a parsed message: signal, raw message and event row. Gives the signal's number, or the result
-- where there is nothing more to do (unusable, duplicate, an alarm that says nothing of supply).
CREATE FUNCTION oms_topology.accept_scada(p_parsed jsonb, p_message jsonb, p_received_at timestamptz, p_raw bytea,
                                          OUT signal_no bigint, OUT event_id uuid, OUT result jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    details  jsonb := p_parsed -> 'details';
    doubts   jsonb := p_parsed -> 'findings';
    named_no integer;
    segment  integer;
    known    oms_topology.signal;
BEGIN
    IF p_parsed ? 'error' THEN
        result := oms_topology.dead_letter_result('scada', p_parsed -> 'error', p_message, p_raw);
        RETURN;
    END IF;
    PERFORM oms_topology.settle();
    named_no := oms_topology.find_device(p_parsed ->> 'device_kind', p_parsed ->> 'device_code');
    IF named_no IS NULL THEN
        result := oms_topology.dead_letter_result('scada', oms_topology.finding(
            (p_parsed ->> 'device_kind') || 'Id', 'no ' || (p_parsed ->> 'device_kind') || ' has this code'), p_message, p_raw);
        RETURN;
    END IF;
    SELECT d.segment_no INTO segment FROM oms_topology.device d WHERE d.device_no = named_no;
    PERFORM oms_topology.lock_segments(segment);

    INSERT INTO oms_topology.signal AS s
        (source, source_event_id, content_hash, device_kind, device_code, device_no, power_status, occurred_at, sent_at,
         received_at, time_is_sound, payload, record_id, is_conflicting)
    VALUES ('scada', p_parsed ->> 'source_event_id', p_parsed ->> 'content_hash', p_parsed ->> 'device_kind',
            p_parsed ->> 'device_code', named_no, p_parsed ->> 'power_status',
            (p_parsed ->> 'occurred_at')::timestamptz, (p_parsed ->> 'sent_at')::timestamptz, p_received_at,
            (p_parsed ->> 'time_is_sound')::boolean,
            CASE WHEN jsonb_typeof(p_message -> 'event') = 'object' THEN p_message -> 'event' ELSE p_message END,
            gen_random_uuid()::text,
            EXISTS (SELECT FROM oms_topology.signal o
                    WHERE o.source = 'scada' AND o.source_event_id = p_parsed ->> 'source_event_id'))
    ON CONFLICT (source, source_event_id, content_hash) DO NOTHING
    RETURNING s.signal_no, s.record_id::uuid INTO signal_no, event_id;
    IF signal_no IS NULL THEN
        SELECT * INTO STRICT known FROM oms_topology.signal s
        WHERE s.source = 'scada' AND s.source_event_id = p_parsed ->> 'source_event_id'
          AND s.content_hash = p_parsed ->> 'content_hash';
        -- One that was inserted but never checked (insert_scada_event_from_json alone) is checked now.
        event_id := known.record_id::uuid;
        signal_no := known.signal_no;
        result := known.result || '{"duplicate": true}';
        RETURN;
    END IF;

    IF oms_topology.is_swapped(named_no, (details ->> 'latitude')::numeric, (details ->> 'longitude')::numeric) THEN
        doubts := doubts || oms_topology.finding('coordinates', 'latitude and longitude look swapped');
        details := details || '{"latitude": null, "longitude": null}';
    END IF;
    doubts := doubts || oms_topology.place_finding(named_no, details ->> 'substation_code');
    IF doubts <> '[]' THEN
        UPDATE oms_topology.signal s SET findings = doubts WHERE s.signal_no = accept_scada.signal_no;
    END IF;
    INSERT INTO public.scada_raw_messages (raw_payload, received_at) VALUES (p_message, p_received_at);
    INSERT INTO public.scada_events
        (id, event_type, substation_id, feeder_id, main_station_id, alarm_type, event_timestamp, voltage, severity,
         reason, latitude, longitude, source)
    VALUES (event_id, COALESCE(details ->> 'event_type', 'N/A'), COALESCE(details ->> 'substation_code', 'N/A'),
            COALESCE(details ->> 'feeder_code', 'N/A'), COALESCE(details ->> 'main_station_id', 'N/A'),
            COALESCE(details ->> 'alarm_type', 'N/A'), (p_parsed ->> 'occurred_at')::timestamptz,
            (details ->> 'voltage')::numeric, details ->> 'severity', details ->> 'reason',
            (details ->> 'latitude')::numeric, (details ->> 'longitude')::numeric, details ->> 'source');
    IF p_parsed ->> 'power_status' = 'unknown' THEN
        result := jsonb_build_object('scada_event_id', event_id, 'meters_checked', false,
                                     'reason', 'Non-critical alarm type', 'duplicate', false);
        UPDATE oms_topology.signal s SET result = accept_scada.result WHERE s.signal_no = accept_scada.signal_no;
    END IF;
END $$;

-- A feeder that is not of the substation the message names counts all the same, and is reported.
CREATE FUNCTION oms_topology.place_finding(p_device_no integer, p_substation_code text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
    SELECT COALESCE((
        SELECT jsonb_build_array(oms_topology.finding('substationId', 'the device belongs to another substation'))
        FROM oms_topology.device d
        WHERE d.device_no = p_device_no AND d.kind = 'feeder' AND p_substation_code IS NOT NULL
          AND NOT EXISTS (SELECT FROM public.network_feeders f
                          JOIN public.network_substations s ON s.id = f.substation_id
                          WHERE f.id = d.record_id AND s.substation_id = p_substation_code)), '[]'));
END $$;

-- Carries an accepted message to meters and outages and keeps the result with the signal.
CREATE FUNCTION oms_topology.check_scada(p_signal_no bigint, p_event_id uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began_at constant timestamptz := clock_timestamp();
    checked  oms_topology.check_result;
    answer   jsonb;
BEGIN
    checked := oms_topology.apply_device_report(p_signal_no);
    answer := jsonb_build_object(
        'scada_event_id', p_event_id, 'meters_checked', true, 'total_meters', checked.total_meters,
        'offline_meters', checked.offline_meters, 'online_meters', checked.online_meters,
        'unknown_meters', checked.unknown_meters, 'outage_event_id', checked.outage_event_id,
        'outage_event_ids', to_jsonb(COALESCE(checked.outage_event_ids, '{}')),
        'affected_customers', checked.affected_customers, 'restored_meters', checked.restored_meters,
        'duplicate', false);
    UPDATE public.scada_events e
    SET affected_meter_count = CASE s.power_status WHEN 'off' THEN checked.offline_meters ELSE checked.restored_meters END,
        meters_checked_at = clock_timestamp(), outage_event_id = checked.outage_event_id
    FROM oms_topology.signal s WHERE e.id = p_event_id AND s.signal_no = p_signal_no;
    UPDATE oms_topology.signal SET result = answer WHERE signal_no = p_signal_no;
    IF clock_timestamp() - began_at > interval '1 second' THEN
        INSERT INTO oms_topology.slow_check (signal_no, total_meters, duration)
        VALUES (p_signal_no, checked.total_meters, clock_timestamp() - began_at)
        ON CONFLICT (signal_no) DO UPDATE SET duration = excluded.duration, checked_at = excluded.checked_at;
    END IF;
    RETURN answer;
END $$;

-- One parsed message, whole: the write behind both doors.
CREATE FUNCTION oms_topology.record_scada(
    p_parsed jsonb, p_message jsonb, p_received_at timestamptz, p_raw bytea DEFAULT NULL
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    accepted record;
BEGIN
    SELECT * INTO accepted FROM oms_topology.accept_scada(p_parsed, p_message, p_received_at, p_raw);
    IF accepted.result IS NOT NULL THEN
        RETURN accepted.result;
    END IF;
    RETURN oms_topology.check_scada(accepted.signal_no, accepted.event_id);
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    RETURN oms_topology.dead_letter_result(
        'scada', oms_topology.finding('payload', 'cannot be stored: ' || SQLSTATE), p_message, p_raw);
END $$;

-- One batch of parsed messages, each with the message itself under "message"; one result for each, in order.
-- Each stands alone; the locks of all supply trees they need are taken first, in order.
CREATE FUNCTION oms_topology.record_scada_messages(p_parsed jsonb[], p_raw bytea[], p_received_at timestamptz) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    results jsonb[] := '{}';
BEGIN
    IF cardinality(p_parsed) > 1 THEN
        PERFORM oms_topology.settle();
        PERFORM oms_topology.lock_segments(VARIADIC ARRAY(
            SELECT DISTINCT d.segment_no
            FROM unnest(p_parsed) AS u (parsed)
            JOIN oms_topology.device d
                ON d.device_no = oms_topology.find_device(u.parsed ->> 'device_kind', u.parsed ->> 'device_code')
            WHERE d.segment_no IS NOT NULL));
    END IF;
    FOR n IN 1 .. cardinality(p_parsed) LOOP
        results[n] := oms_topology.record_scada(p_parsed[n] - 'message', p_parsed[n] -> 'message', p_received_at, p_raw[n]);
    END LOOP;
    RETURN results;
END $$;

DROP FUNCTION IF EXISTS public.insert_scada_event_with_meter_check(jsonb);
CREATE FUNCTION public.insert_scada_event_with_meter_check(json_data jsonb) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.record_scada(oms_topology.parse_scada(json_data, now()), json_data, now())
$$;

-- The id of the event row, NULL for a dead letter; process_scada_event_meters then checks the meters.
DROP FUNCTION IF EXISTS public.insert_scada_event_from_json(jsonb);
CREATE FUNCTION public.insert_scada_event_from_json(json_data jsonb) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT event_id FROM oms_topology.accept_scada(oms_topology.parse_scada(json_data, now()), json_data, now(), NULL));
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    PERFORM oms_topology.dead_letter_result(
        'scada', oms_topology.finding('payload', 'cannot be stored: ' || SQLSTATE), json_data);
    RETURN NULL;
END $$;

DROP FUNCTION IF EXISTS public.process_scada_event_meters(uuid, character varying, character varying, timestamp with time zone);
CREATE FUNCTION public.process_scada_event_meters(
    p_scada_event_id uuid, p_substation_id character varying, p_feeder_id character varying DEFAULT NULL,
    p_event_timestamp timestamp with time zone DEFAULT now()
) RETURNS TABLE (total_meters integer, offline_meters integer, online_meters integer, unknown_meters integer, outage_event_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said   oms_topology.signal;
    answer jsonb;
BEGIN
    SELECT * INTO said FROM oms_topology.signal s WHERE s.record_id = p_scada_event_id::text AND s.source = 'scada';
    IF NOT FOUND THEN
        said := oms_topology.adopt_scada_event(p_scada_event_id, p_substation_id, p_feeder_id, p_event_timestamp);
    END IF;
    answer := said.result;
    IF said.signal_no IS NOT NULL AND said.power_status <> 'unknown' AND answer IS NULL THEN
        PERFORM oms_topology.settle();
        PERFORM oms_topology.lock_segments(d.segment_no) FROM oms_topology.device d WHERE d.device_no = said.device_no;
        answer := oms_topology.check_scada(said.signal_no, p_scada_event_id);
    END IF;
    RETURN QUERY SELECT COALESCE((answer ->> 'total_meters')::integer, 0), COALESCE((answer ->> 'offline_meters')::integer, 0),
        COALESCE((answer ->> 'online_meters')::integer, 0), COALESCE((answer ->> 'unknown_meters')::integer, 0),
        (answer ->> 'outage_event_id')::uuid;
END $$;

-- An event row that an old service inserted itself becomes a signal when it asks for the check.
CREATE FUNCTION oms_topology.adopt_scada_event(
    p_scada_event_id uuid, p_substation_id text, p_feeder_id text, p_event_timestamp timestamptz
) RETURNS oms_topology.signal
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event    public.scada_events;
    said     oms_topology.signal;
    named_no integer;
BEGIN
    SELECT * INTO event FROM public.scada_events WHERE id = p_scada_event_id;
    PERFORM oms_topology.settle();
    named_no := CASE WHEN NULLIF(p_feeder_id, '') IS NOT NULL THEN oms_topology.find_device('feeder', p_feeder_id)
                     ELSE oms_topology.find_device('substation', p_substation_id) END;
    IF event.id IS NULL THEN
        PERFORM oms_topology.keep_dead_letter('scada', 'scadaEventId', 'no event has this id',
            convert_to(COALESCE(p_scada_event_id::text, ''), 'UTF8'));
        RETURN NULL;
    ELSIF named_no IS NULL THEN
        PERFORM oms_topology.dead_letter_result('scada', CASE WHEN NULLIF(p_feeder_id, '') IS NOT NULL
            THEN oms_topology.finding('feederId', 'no feeder has this code')
            ELSE oms_topology.finding('substationId', 'no substation has this code') END, to_jsonb(event));
        RETURN NULL;
    END IF;
    INSERT INTO oms_topology.signal
        (source, source_event_id, content_hash, device_kind, device_code, device_no, power_status, occurred_at, received_at,
         record_id, payload)
    SELECT 'scada', event.id::text, encode(sha256(convert_to(to_jsonb(event)::text, 'UTF8')), 'hex'), d.kind, d.code,
           named_no,
           oms_topology.scada_power_status(COALESCE(NULLIF(event.alarm_type, 'N/A'), event.event_type)),
           LEAST(p_event_timestamp, now()), now(), event.id::text, to_jsonb(event)
    FROM oms_topology.device d WHERE d.device_no = named_no
    ON CONFLICT (source, source_event_id, content_hash) DO NOTHING
    RETURNING * INTO said;
    RETURN said;
END $$;

-- Takes a dead letter up again, after what it lacked has been supplied; it stays, marked.
CREATE FUNCTION oms_topology.replay_dead_letter(p_dead_letter_no bigint) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    letter  oms_topology.dead_letter;
    message jsonb;
    answer  jsonb;
BEGIN
    SELECT * INTO letter FROM oms_topology.dead_letter
    WHERE dead_letter_no = p_dead_letter_no AND source = 'scada' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('reason', 'No such dead letter of source scada.');
    END IF;
    BEGIN
        message := convert_from(letter.payload, 'UTF8')::jsonb;
    EXCEPTION WHEN data_exception THEN
        RETURN jsonb_build_object('reason', 'The payload is not JSON.', 'dead_letter_id', p_dead_letter_no);
    END;
    answer := oms_topology.record_scada(oms_topology.parse_scada(message, letter.received_at), message, letter.received_at);
    IF answer -> 'dead_letter_id' IS NULL OR answer -> 'dead_letter_id' = 'null' THEN
        UPDATE oms_topology.dead_letter SET replayed_at = clock_timestamp() WHERE dead_letter_no = p_dead_letter_no;
    END IF;
    RETURN answer;
END $$;
