-- The KAIFA door: end device events of the head-end system, as its consumer turns them into JSON. What the
-- event type says decides; how severe somebody calls it does not, and that a meter spoke is no power.

CREATE TABLE oms_topology.end_device_event_code (
    code                 text PRIMARY KEY,
    power_status         text,
    communication_status text,
    meaning              text NOT NULL,
    CONSTRAINT end_device_event_code_power_status_check CHECK (power_status IN ('on', 'off')),
    CONSTRAINT end_device_event_code_communication_status_check CHECK (communication_status IN ('online', 'offline'))
);
COMMENT ON TABLE oms_topology.end_device_event_code IS
    'What an end device event type (the names in use, and IEC 61968-9 codes) says of the meter; NULL is nothing. An operator may add rows.';
INSERT INTO oms_topology.end_device_event_code (code, power_status, communication_status, meaning) VALUES
    ('PowerOutage', 'off', 'offline', 'supply lost'),
    ('PowerRestored', 'on', 'online', 'supply back'),
    ('3.26.0.85', 'off', 'offline', 'power off'),
    ('3.26.0.216', 'on', 'online', 'power on'),
    ('3.26.0.47', 'off', 'offline', 'power off'),
    ('3.26.136.47', 'off', 'offline', 'power off (last gasp)'),
    ('3.26.136.66', 'off', 'offline', 'power off (last gasp disabled)'),
    ('3.26.136.216', 'on', 'online', 'power on (restore trap)'),
    ('3.26.17.185', 'off', 'offline', 'power off'),
    ('3.26.17.216', 'on', 'online', 'power on'),
    ('26.26.0.85', 'off', 'offline', 'power off'),
    ('26.26.0.216', 'on', 'online', 'power on'),
    ('0.26.38.47', 'off', 'offline', 'power off'),
    ('0.26.38.49', 'on', 'online', 'power on'),
    ('1.26.25.85', NULL, 'online', 'phase failure (partial)'),
    ('0.26.25.85', NULL, 'online', 'phase failure (partial)'),
    ('1.26.79.223', NULL, 'online', 'voltage sag (not outage)'),
    ('3.21.38.223', NULL, 'online', 'voltage sag end/start (not outage)'),
    ('3.26.38.150', NULL, 'online', 'under voltage (partial / warning)'),
    ('3.26.38.47', NULL, 'online', 'low potential (partial)'),
    ('3.26.131.223', NULL, 'online', 'under voltage phase A'),
    ('3.26.25.100', NULL, 'online', 'inactive phase (phase-aware partial)'),
    ('3.23.136.47', NULL, 'offline', 'collector/AP lost connectivity (COMMS, not power)'),
    ('3.12.29.212', NULL, 'online', 'cover removed (tamper, NOT outage)'),
    ('3.33.1.257', NULL, 'online', 'tamper (NOT outage)'),
    ('0.31.0.68', NULL, 'online', 'remote disconnect (NOT outage)'),
    ('0.31.0.42', NULL, 'online', 'remote connect'),
    ('3.2.22.150', NULL, 'online', 'low battery (NOT outage)');

-- An event that was XML without the prefixes of its elements, which no two senders choose alike.
CREATE FUNCTION oms_topology.without_prefixes(p_event jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT regexp_replace(p_event::text, '"[\w.-]+:([^"\\]+)": ', '"\1": ', 'g')::jsonb
$$;

-- The text of an element, trimmed; NULL where there is none. Of several the first.
CREATE FUNCTION oms_topology.xml_text(p_node jsonb, p_name text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NULLIF(btrim(CASE jsonb_typeof(p_node -> p_name)
        WHEN 'object' THEN p_node -> p_name ->> '#text'
        WHEN 'array' THEN CASE WHEN jsonb_typeof(p_node -> p_name -> 0) = 'object' THEN p_node #>> ARRAY[p_name, '0', '#text']
                               ELSE p_node #>> ARRAY[p_name, '0'] END
        ELSE p_node ->> p_name END, E' \t\n\r\f\x0B'), '')
$$;

-- One object or a list of them, as rows: a list of one loses its brackets on the way through XML.
CREATE FUNCTION oms_topology.xml_list(p_node jsonb) RETURNS TABLE (place integer, item jsonb)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.place::integer - 1, e.item
    FROM jsonb_array_elements(CASE jsonb_typeof(p_node) WHEN 'array' THEN p_node
                                   WHEN 'object' THEN jsonb_build_array(p_node) ELSE '[]' END)
         WITH ORDINALITY AS e (item, place)
    WHERE jsonb_typeof(e.item) = 'object'
$$;

-- The identified objects of a node (assets, usage points, names), in their order.
CREATE FUNCTION oms_topology.identified(p_node jsonb)
RETURNS TABLE (place integer, mrid text, name text, name_type text, name_description text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT l.place, oms_topology.xml_text(l.item, 'mRID'), left(oms_topology.xml_text(n.names, 'name'), 200),
           left(oms_topology.xml_text(n.kind, 'name'), 100), oms_topology.xml_text(n.kind, 'description')
    FROM oms_topology.xml_list(p_node) l
    CROSS JOIN LATERAL (SELECT a.names, a.names -> 'NameType' AS kind
                        FROM (SELECT CASE jsonb_typeof(l.item -> 'Names') WHEN 'array' THEN l.item -> 'Names' -> 0
                                     ELSE l.item -> 'Names' END AS names) a) n
$$;

CREATE FUNCTION oms_topology.parse_flag(p_text text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN lower(p_text) IN ('true', '1', 'yes') THEN true WHEN lower(p_text) IN ('false', '0', 'no') THEN false END
$$;

-- The event type's reference, as attribute or as text.
CREATE FUNCTION oms_topology.event_type_ref(p_payload jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(oms_topology.xml_text(p_payload -> 'event_type', '@ref'), oms_topology.xml_text(p_payload -> 'event_type', 'ref'),
                    oms_topology.xml_text(p_payload, 'event_type'))
$$;

-- The single fields of an event, each with the column it has to fit in; what does not is set aside.
CREATE FUNCTION oms_topology.kaifa_details(p_event jsonb, OUT details jsonb, OUT findings jsonb)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_object_agg(f.key, CASE WHEN length(f.value) <= f.max THEN f.value END),
           COALESCE(jsonb_agg(oms_topology.finding(f.key, 'longer than ' || f.max || ' characters') ORDER BY f.key)
                    FILTER (WHERE length(f.value) > f.max), '[]')
    FROM (SELECT p_event -> 'header' AS header, p_event -> 'payload' AS payload) e
    CROSS JOIN LATERAL (VALUES
        ('message_type', oms_topology.xml_text(p_event, 'message_type'), 50),
        ('verb', oms_topology.xml_text(e.header, 'verb'), 20),
        ('noun', oms_topology.xml_text(e.header, 'noun'), 50),
        ('revision', oms_topology.xml_text(e.header, 'revision'), 10),
        ('header_source', oms_topology.xml_text(e.header, 'source'), 100),
        ('message_id', oms_topology.xml_text(e.header, 'message_id'), 100),
        ('correlation_id', oms_topology.xml_text(e.header, 'correlation_id'), 100),
        ('comment', oms_topology.xml_text(e.header, 'comment'), 10000),
        ('header_user_id', oms_topology.xml_text(e.header -> 'user', 'UserID'), 100),
        ('organization', oms_topology.xml_text(e.header -> 'user', 'Organization'), 100),
        ('event_id', oms_topology.xml_text(e.payload, 'event_id'), 100),
        ('issuer_id', oms_topology.xml_text(e.payload, 'issuer_id'), 100),
        ('issuer_tracking_id', oms_topology.xml_text(e.payload, 'issuer_tracking_id'), 100),
        ('reason', oms_topology.xml_text(e.payload, 'reason'), 200),
        ('severity', oms_topology.xml_text(e.payload, 'severity'), 20),
        ('user_id', oms_topology.xml_text(e.payload, 'user_id'), 100),
        ('event_type_ref', oms_topology.event_type_ref(e.payload), 50)
    ) AS f (key, value, max)
$$;

-- What an event calls itself: message, event and assets; without a message or event id the hash does.
CREATE FUNCTION oms_topology.kaifa_key(p_details jsonb, p_mrids text[], p_hash text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN COALESCE(p_details ->> 'message_id', p_details ->> 'event_id') IS NULL THEN 'sha256:' || p_hash
        WHEN length(k.key) > 400 THEN 'sha256:' || encode(sha256(convert_to(k.key, 'UTF8')), 'hex')
        ELSE k.key END
    FROM (SELECT concat_ws('|', COALESCE(p_details ->> 'message_id', ''), COALESCE(p_details ->> 'event_id', ''),
                           array_to_string(p_mrids, ',')) AS key) k
$$;

-- One event of a message (as it came, and without prefixes) as one parsed form, as parse_scada gives it.
-- The consumer's own clock is no device's.
CREATE FUNCTION oms_topology.parse_kaifa(p_raw jsonb, p_event jsonb, p_envelope jsonb, p_received_at timestamptz)
RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payload jsonb := p_event -> 'payload';
    stated  record;
    at      record;
    known   oms_topology.end_device_event_code;
    mrids   text[];
    points  text[];
    ref     text := oms_topology.event_type_ref(p_event -> 'payload');
    hash    text;
BEGIN
    SELECT array_agg(i.mrid ORDER BY i.place) INTO mrids
    FROM oms_topology.identified(payload -> 'assets') i WHERE length(i.mrid) <= 100;
    SELECT array_agg(i.mrid ORDER BY i.place) INTO points
    FROM oms_topology.identified(payload -> 'usage_point') i WHERE length(i.mrid) <= 100;
    IF mrids IS NULL AND points IS NULL THEN
        RETURN oms_topology.unusable('payload.assets', 'no mRID of an asset, and none of a usage point');
    ELSIF ref IS NULL THEN
        RETURN oms_topology.unusable('payload.event_type', 'missing');
    END IF;
    SELECT * INTO at FROM oms_topology.event_time(
        jsonb_build_object('timestamp', COALESCE(oms_topology.xml_text(payload, 'created_date_time'),
                                                 oms_topology.xml_text(payload -> 'status', 'dateTime'))),
        jsonb_build_object('timestamp', oms_topology.xml_text(p_event -> 'header', 'timestamp'),
                           'received_at', oms_topology.xml_text(p_event, 'timestamp'),
                           'processed_at', p_envelope -> 'timestamp'),
        p_received_at, (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'kaifa'));
    IF at.error IS NOT NULL THEN
        RETURN jsonb_build_object('error', oms_topology.finding('payload.created_date_time', at.error -> 'error' ->> 'reason'));
    END IF;

    SELECT * INTO stated FROM oms_topology.kaifa_details(p_event);
    SELECT * INTO known FROM oms_topology.end_device_event_code c WHERE lower(c.code) = lower(ref)
    ORDER BY c.code = ref DESC, c.code LIMIT 1;
    IF known.code IS NULL THEN
        stated.findings := stated.findings || oms_topology.finding('payload.event_type', 'not a known event type; says nothing of power');
    END IF;
    hash := encode(sha256(convert_to(jsonb_build_object('header', p_event -> 'header', 'payload', payload)::text, 'UTF8')), 'hex');
    RETURN jsonb_build_object(
        'source_event_id', oms_topology.kaifa_key(stated.details, mrids, hash), 'content_hash', hash,
        'device_kind', 'meter', 'device_code', COALESCE(mrids[1], points[1]),
        'power_status', COALESCE(known.power_status, 'unknown'), 'communication_status', known.communication_status,
        'occurred_at', oms_topology.iso_time(at.occurred_at), 'sent_at', oms_topology.iso_time(at.sent_at),
        'time_is_sound', at.is_sound, 'findings', stated.findings || COALESCE(at.trouble, '[]'),
        'details', stated.details, 'payload', p_raw);
END $$;

-- The meter of an asset: by its mRID, else by its number; else, where nobody knows the asset, the one
-- meter of the usage point. A usage point that several meters share names none.
CREATE FUNCTION oms_topology.meter_of_asset(p_mrid text, p_usage_point_mrid text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(
        (SELECT m.meter_no FROM public.oms_meters m WHERE m.asset_mrid = p_mrid
         ORDER BY COALESCE(m.status, 'active') = 'active' DESC, m.meter_number COLLATE "C" LIMIT 1),
        oms_topology.find_meter(p_mrid),
        (SELECT min(m.meter_no) FROM public.oms_meters m
         WHERE m.usage_point_mrid = p_usage_point_mrid AND COALESCE(m.status, 'active') = 'active' HAVING count(*) = 1))
$$;

-- The one usage point of an event; NULL where it names none or several.
CREATE FUNCTION oms_topology.sole_usage_point(p_payload jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN count(*) = 1 THEN min(i.mrid) END
    FROM oms_topology.identified(p_payload -> 'usage_point') i WHERE length(i.mrid) <= 100
$$;

-- The meters of an event's assets, those that nobody knew registered; without assets that of its usage point.
CREATE FUNCTION oms_topology.meters_of_kaifa_event(p_signal_no bigint, p_payload jsonb) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    point  text := oms_topology.sole_usage_point(p_payload);
    asset  record;
    meters integer[] := '{}';
BEGIN
    FOR asset IN
        SELECT i.mrid, count(*) OVER () AS assets
        FROM (SELECT DISTINCT mrid FROM oms_topology.identified(p_payload -> 'assets') WHERE length(mrid) <= 100) i
        ORDER BY i.mrid COLLATE "C"
    LOOP
        meters := meters || COALESCE(
            oms_topology.meter_of_asset(asset.mrid, CASE WHEN asset.assets = 1 THEN point END),
            (oms_topology.meters_named(
                p_signal_no,
                ARRAY[CASE WHEN length(asset.mrid) <= 64 THEN asset.mrid
                           ELSE left(asset.mrid, 55) || '#' || left(md5(asset.mrid), 8) END],
                jsonb_build_object('meter_type', 'kaifa', 'asset_mrid', asset.mrid,
                                   'usage_point_mrid', CASE WHEN asset.assets = 1 THEN point END)))[1]);
    END LOOP;
    RETURN CASE WHEN meters = '{}' THEN array_remove(ARRAY[oms_topology.meter_of_asset(NULL, point)], NULL)
                ELSE meters END;
END $$;

-- The event that the deployed function stored of the same message, if it did.
CREATE FUNCTION oms_topology.known_kaifa_event(p_details jsonb) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.event_id
    FROM public.kaifa_event_headers h
    JOIN public.kaifa_event_payloads p ON p.event_id = h.event_id
    WHERE h.message_id = p_details ->> 'message_id' AND p.event_id_value = p_details ->> 'event_id'
      AND NOT EXISTS (SELECT FROM oms_topology.signal s WHERE s.record_id = h.event_id::text AND s.source = 'kaifa')
    LIMIT 1
$$;

-- Header and user of an event. A message id that another event of the message bears already gets a suffix:
-- the deployed key allows each but once.
CREATE FUNCTION oms_topology.store_kaifa_header(p_event_id uuid, p_said oms_topology.signal, p_details jsonb, p_header jsonb)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    zone      text := (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'kaifa');
    key       text := p_details ->> 'message_id';
    header_id uuid;
BEGIN
    WHILE header_id IS NULL LOOP
        INSERT INTO public.kaifa_event_headers
            (event_id, verb, noun, revision, header_timestamp, source, async_reply_flag, ack_required, message_id,
             correlation_id, comment)
        VALUES (p_event_id, COALESCE(p_details ->> 'verb', 'N/A'), COALESCE(p_details ->> 'noun', 'N/A'),
                p_details ->> 'revision',
                COALESCE(oms_topology.parse_time(oms_topology.xml_text(p_header, 'timestamp'), zone), p_said.occurred_at),
                p_details ->> 'header_source', oms_topology.parse_flag(oms_topology.xml_text(p_header, 'async_reply_flag')),
                oms_topology.parse_flag(oms_topology.xml_text(p_header, 'ack_required')), key,
                p_details ->> 'correlation_id', p_details ->> 'comment')
        ON CONFLICT (message_id) DO NOTHING
        RETURNING id INTO header_id;
        key := left(p_details ->> 'message_id', 80) || '#' || left(replace(p_event_id::text, '-', ''), 16);
    END LOOP;
    INSERT INTO public.kaifa_event_users (header_id, user_id, organization)
    VALUES (header_id, p_details ->> 'header_user_id', p_details ->> 'organization');
END $$;

-- What hangs on an event's payload: assets, usage points, names, details and status.
CREATE FUNCTION oms_topology.store_kaifa_payload(p_payload_id uuid, p_payload jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    zone   text := (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'kaifa');
    status jsonb := p_payload -> 'status';
BEGIN
    INSERT INTO public.kaifa_event_assets (payload_id, mrid, name, name_type, name_description)
    SELECT p_payload_id, CASE WHEN length(i.mrid) <= 100 THEN i.mrid END, i.name, i.name_type, i.name_description
    FROM oms_topology.identified(p_payload -> 'assets') i;
    INSERT INTO public.kaifa_event_usage_points (payload_id, mrid, name, name_type, name_description)
    SELECT p_payload_id, CASE WHEN length(i.mrid) <= 100 THEN i.mrid END, i.name, i.name_type, i.name_description
    FROM oms_topology.identified(p_payload -> 'usage_point') i;
    INSERT INTO public.kaifa_event_names (payload_id, name, name_type, name_description)
    SELECT p_payload_id, i.name, i.name_type, i.name_description
    FROM oms_topology.identified(jsonb_build_object('Names', p_payload -> 'names')) i WHERE i.name IS NOT NULL;
    INSERT INTO public.kaifa_event_details (payload_id, name, value, detail_order)
    SELECT p_payload_id, left(n.name, 100), COALESCE(left(oms_topology.xml_text(l.item, 'value'), 200), ''), l.place
    FROM oms_topology.xml_list(p_payload -> 'event_details') l
    CROSS JOIN LATERAL (SELECT oms_topology.xml_text(l.item, 'name') AS name) n WHERE n.name IS NOT NULL;
    INSERT INTO public.kaifa_event_status (payload_id, date_time, reason, remark, value)
    SELECT p_payload_id, oms_topology.parse_time(oms_topology.xml_text(status, 'dateTime'), zone),
           left(oms_topology.xml_text(status, 'reason'), 200), oms_topology.xml_text(status, 'remark'),
           left(oms_topology.xml_text(status, 'value'), 50)
    WHERE jsonb_typeof(status) = 'object';
END $$;

-- Stores an event in the tables of the deployed database, under the id that its signal carries.
CREATE FUNCTION oms_topology.store_kaifa_event(p_said oms_topology.signal, p_details jsonb, p_event jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    zone       text := (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'kaifa');
    new_id     uuid := p_said.record_id::uuid;
    payload_id uuid := gen_random_uuid();
    original   jsonb := p_event -> 'original_message';
BEGIN
    INSERT INTO public.kaifa_events (id, message_type, event_timestamp)
    VALUES (new_id, COALESCE(p_details ->> 'message_type', 'EndDeviceEvent'), p_said.occurred_at);
    PERFORM oms_topology.store_kaifa_header(new_id, p_said, p_details, p_event -> 'header');
    INSERT INTO public.kaifa_event_payloads
        (id, event_id, event_id_value, created_date_time, issuer_id, issuer_tracking_id, reason, severity, user_id, event_type_ref)
    VALUES (payload_id, new_id, p_details ->> 'event_id',
            oms_topology.parse_time(oms_topology.xml_text(p_event -> 'payload', 'created_date_time'), zone),
            p_details ->> 'issuer_id', p_details ->> 'issuer_tracking_id', p_details ->> 'reason', p_details ->> 'severity',
            p_details ->> 'user_id', p_details ->> 'event_type_ref');
    PERFORM oms_topology.store_kaifa_payload(payload_id, p_event -> 'payload');
    INSERT INTO public.kaifa_event_metadata (event_id, source, processed_at)
    VALUES (new_id, left(oms_topology.xml_text(p_event -> 'metadata', 'source'), 100),
            oms_topology.parse_time(oms_topology.xml_text(p_event -> 'metadata', 'processed_at'), zone));
    INSERT INTO public.kaifa_event_original_messages (event_id, original_timestamp, source, topic, processed_at)
    VALUES (new_id, oms_topology.parse_time(oms_topology.xml_text(original, 'timestamp'), zone),
            left(oms_topology.xml_text(original, 'source'), 100), left(oms_topology.xml_text(original, 'topic'), 100),
            oms_topology.parse_time(oms_topology.xml_text(original, 'processed_at'), zone));
END $$;

-- Links an event's assets and usage points, each to its own meter, and records what the meters said.
CREATE FUNCTION oms_topology.sync_kaifa_meters(p_said oms_topology.signal, p_parsed jsonb, p_payload jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    point  text := oms_topology.sole_usage_point(p_payload);
    meters integer[] := oms_topology.meters_of_kaifa_event(p_said.signal_no, p_payload);
BEGIN
    UPDATE public.kaifa_event_assets a
    SET meter_id = (SELECT m.id FROM public.oms_meters m
                    WHERE m.meter_no = oms_topology.meter_of_asset(
                        a.mrid, CASE WHEN cardinality(meters) = 1 THEN point END))
    FROM public.kaifa_event_payloads p
    WHERE p.event_id = p_said.record_id::uuid AND a.payload_id = p.id AND a.mrid IS NOT NULL;
    UPDATE public.kaifa_event_usage_points u
    SET meter_id = (SELECT m.id FROM public.oms_meters m
                    WHERE m.meter_no = COALESCE(oms_topology.meter_of_asset(NULL, u.mrid),
                                                CASE WHEN cardinality(meters) = 1 AND u.mrid = point THEN meters[1] END))
    FROM public.kaifa_event_payloads p
    WHERE p.event_id = p_said.record_id::uuid AND u.payload_id = p.id AND u.mrid IS NOT NULL;
    IF p_said.power_status <> 'unknown' OR p_parsed ->> 'communication_status' IS NOT NULL THEN
        PERFORM oms_topology.record_meter_reports(
            p_said.signal_no, meters, NULLIF(p_said.power_status, 'unknown'), p_parsed ->> 'communication_status',
            jsonb_build_object('severity', p_parsed #>> '{details,severity}', 'reason', p_parsed #>> '{details,reason}'));
    END IF;
    PERFORM oms_topology.finish_signal(p_said.signal_no, jsonb_build_object(
        'kaifa_event_id', p_said.record_id, 'meters_synced', true, 'total_meters', cardinality(meters)));
END $$;

-- One event of a message, whole; NULL for what became a dead letter.
CREATE FUNCTION oms_topology.record_kaifa_event(
    p_event jsonb, p_envelope jsonb, p_received_at timestamptz, p_syncs_meters boolean
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event    jsonb;
    parsed   jsonb;
    known_id uuid;
    said     oms_topology.signal;
BEGIN
    event := oms_topology.without_prefixes(p_event);
    parsed := oms_topology.parse_kaifa(p_event, event, p_envelope, p_received_at);
    IF NOT parsed ? 'error' AND oms_topology.sole_usage_point(event -> 'payload') = parsed ->> 'device_code'
       AND oms_topology.meter_of_asset(parsed ->> 'device_code', parsed ->> 'device_code') IS NULL
       AND NOT EXISTS (SELECT FROM oms_topology.identified(event -> 'payload' -> 'assets') i WHERE length(i.mrid) <= 100) THEN
        parsed := oms_topology.unusable('payload.usage_point', 'no meter, or more than one, has this usage point');
    END IF;
    IF parsed ? 'error' THEN
        PERFORM oms_topology.keep_unusable('kaifa', parsed -> 'error', p_event);
        RETURN NULL;
    END IF;
    known_id := oms_topology.known_kaifa_event(parsed -> 'details');
    said := oms_topology.accept_signal('kaifa', parsed, p_received_at, COALESCE(known_id, gen_random_uuid())::text);
    IF said.result IS NULL THEN
        IF known_id IS NULL THEN
            PERFORM oms_topology.store_kaifa_event(said, parsed -> 'details', event);
        END IF;
        PERFORM oms_topology.finish_signal(
            said.signal_no, jsonb_build_object('kaifa_event_id', said.record_id, 'meters_synced', false));
    END IF;
    IF p_syncs_meters AND NOT COALESCE((said.result ->> 'meters_synced')::boolean, false) THEN
        PERFORM oms_topology.sync_kaifa_meters(said, parsed, event -> 'payload');
    END IF;
    RETURN said.record_id::uuid;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    PERFORM oms_topology.keep_unusable('kaifa', oms_topology.finding('payload', 'cannot be stored: ' || SQLSTATE), p_event);
    RETURN NULL;
END $$;

-- A message with one event or several; gives the id of the first that could be used.
CREATE FUNCTION oms_topology.record_kaifa(p_message jsonb, p_received_at timestamptz, p_syncs_meters boolean) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said     record;
    payload  jsonb;
    event_id uuid;
    first_id uuid;
BEGIN
    SELECT * INTO said FROM oms_topology.unwrap(p_message);
    IF said.error IS NULL AND NOT EXISTS (SELECT FROM oms_topology.xml_list(said.event -> 'payload')) THEN
        said.error := oms_topology.finding('payload', 'missing or not an object');
    END IF;
    IF said.error IS NOT NULL THEN
        PERFORM oms_topology.keep_unusable('kaifa', said.error, p_message);
        RETURN NULL;
    END IF;
    FOR payload IN SELECT l.item FROM oms_topology.xml_list(said.event -> 'payload') l ORDER BY l.place LOOP
        event_id := oms_topology.record_kaifa_event(
            said.event || jsonb_build_object('payload', payload), said.envelope, p_received_at, p_syncs_meters);
        first_id := COALESCE(first_id, event_id);
    END LOOP;
    RETURN first_id;
END $$;

DROP FUNCTION IF EXISTS public.insert_kaifa_event_from_json_with_meter_sync(jsonb);
CREATE FUNCTION public.insert_kaifa_event_from_json_with_meter_sync(json_data jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.record_kaifa(json_data, now(), true)
$$;

DROP FUNCTION IF EXISTS public.insert_kaifa_event_from_json(jsonb);
CREATE FUNCTION public.insert_kaifa_event_from_json(json_data jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.record_kaifa(json_data, now(), false)
$$;
