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
    ('3.2.22.150', NULL, 'online', 'low battery (NOT outage)'),
    ('poweroff', 'off', 'offline', 'poweroff'),
    ('powerfailure', 'off', 'offline', 'powerfailure'),
    ('powerfail', 'off', 'offline', 'powerfail'),
    ('powerloss', 'off', 'offline', 'powerloss'),
    ('powerdown', 'off', 'offline', 'powerdown'),
    ('primarypowerdown', 'off', 'offline', 'primarypowerdown'),
    ('lastgasp', 'off', 'offline', 'lastgasp'),
    ('powerrestore', 'on', 'online', 'powerrestore'),
    ('powerrestoration', 'on', 'online', 'powerrestoration'),
    ('poweron', 'on', 'online', 'poweron'),
    ('powerup', 'on', 'online', 'powerup'),
    ('primarypowerup', 'on', 'online', 'primarypowerup'),
    ('communicationloss', NULL, 'offline', 'communicationloss'),
    ('communicationlost', NULL, 'offline', 'communicationlost'),
    ('communicationfailure', NULL, 'offline', 'communicationfailure'),
    ('communicationrestored', NULL, 'online', 'communicationrestored');

-- What an event type says: the code itself, or the name however it is written; no row for an unknown one.
CREATE FUNCTION oms_topology.end_device_event(p_ref text) RETURNS SETOF oms_topology.end_device_event_code
LANGUAGE sql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.* FROM oms_topology.end_device_event_code c
    WHERE lower(c.code) = lower(p_ref) OR lower(c.code) = oms_topology.bare_name(p_ref)
    ORDER BY c.code = p_ref DESC, lower(c.code) = lower(p_ref) DESC, c.code COLLATE "C"
    LIMIT 1
$$;

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
           COALESCE(jsonb_agg(oms_topology.finding(f.key, 'longer than ' || f.max || ' characters') ORDER BY f.key COLLATE "C")
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
    state   text := oms_topology.xml_text(p_event -> 'payload' -> 'status', 'value');
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
    SELECT * INTO known FROM oms_topology.end_device_event(ref);
    IF known.code IS NULL THEN
        stated.findings := stated.findings || oms_topology.finding('payload.event_type', 'not a known event type; says nothing of power');
    ELSIF known.power_status = 'off'
          AND lower(state COLLATE "C") IN ('inactive', 'cleared', 'closed', 'cancelled', 'canceled', 'resolved') THEN
        stated.findings := stated.findings || oms_topology.finding('payload.status', 'an outage that is over or void; nothing follows from it');
        known := NULL;
    END IF;
    hash := oms_topology.content_hash(
        ARRAY[COALESCE(oms_topology.xml_text(payload, 'created_date_time'), oms_topology.xml_text(payload -> 'status', 'dateTime')),
              ref, state, oms_topology.xml_text(p_event -> 'header', 'message_id'), oms_topology.xml_text(payload, 'event_id'),
              stated.details ->> 'severity',
              stated.details ->> 'reason', COALESCE(cardinality(mrids), 0)::text]
        || mrids || COALESCE(cardinality(points), 0)::text || points
        || ARRAY(SELECT said.value
                 FROM oms_topology.xml_list(payload -> 'event_details') l
                 CROSS JOIN LATERAL (VALUES (1, oms_topology.xml_text(l.item, 'name')),
                                            (2, oms_topology.xml_text(l.item, 'value'))) AS said (place, value)
                 ORDER BY l.place, said.place));
    RETURN jsonb_build_object(
        'source_event_id', oms_topology.kaifa_key(stated.details, mrids, hash), 'content_hash', hash,
        'device_kind', 'meter', 'device_code', COALESCE(mrids[1], points[1]),
        'power_status', COALESCE(known.power_status, 'unknown'), 'communication_status', known.communication_status,
        'occurred_at', oms_topology.iso_time(at.occurred_at), 'sent_at', oms_topology.iso_time(at.sent_at),
        'time_is_sound', at.is_sound, 'findings', stated.findings || COALESCE(at.trouble, '[]'),
        'details', stated.details, 'payload', p_raw);
END $$;

-- What an event's further tables hold, each text cut to its column, times in ISO 8601; parse_kaifa adds it.
CREATE FUNCTION oms_topology.kaifa_records(p_event jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    zone     text := (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'kaifa');
    header   jsonb := p_event -> 'header';
    payload  jsonb := p_event -> 'payload';
    status   jsonb := p_event -> 'payload' -> 'status';
    metadata jsonb := p_event -> 'metadata';
    original jsonb := p_event -> 'original_message';
BEGIN
    RETURN jsonb_build_object(
        'header_timestamp', oms_topology.iso_time(oms_topology.parse_time(oms_topology.xml_text(header, 'timestamp'), zone)),
        'async_reply_flag', oms_topology.parse_flag(oms_topology.xml_text(header, 'async_reply_flag')),
        'ack_required', oms_topology.parse_flag(oms_topology.xml_text(header, 'ack_required')),
        'created_date_time', oms_topology.iso_time(oms_topology.parse_time(oms_topology.xml_text(payload, 'created_date_time'), zone)),
        'assets', oms_topology.identified_records(payload -> 'assets'),
        'usage_points', oms_topology.identified_records(payload -> 'usage_point'),
        'names', oms_topology.identified_records(jsonb_build_object('Names', payload -> 'names')),
        'details', (SELECT COALESCE(jsonb_agg(jsonb_build_array(
                            left(n.name, 100), COALESCE(left(oms_topology.xml_text(l.item, 'value'), 200), ''), l.place)
                            ORDER BY l.place), '[]')
                    FROM oms_topology.xml_list(payload -> 'event_details') l
                    CROSS JOIN LATERAL (SELECT oms_topology.xml_text(l.item, 'name') AS name) n WHERE n.name IS NOT NULL),
        'status', CASE WHEN jsonb_typeof(status) = 'object' THEN jsonb_build_array(
            oms_topology.iso_time(oms_topology.parse_time(oms_topology.xml_text(status, 'dateTime'), zone)),
            left(oms_topology.xml_text(status, 'reason'), 200), oms_topology.xml_text(status, 'remark'),
            left(oms_topology.xml_text(status, 'value'), 50)) END,
        'metadata', jsonb_build_array(
            left(oms_topology.xml_text(metadata, 'source'), 100),
            oms_topology.iso_time(oms_topology.parse_time(oms_topology.xml_text(metadata, 'processed_at'), zone))),
        'original', jsonb_build_array(
            oms_topology.iso_time(oms_topology.parse_time(oms_topology.xml_text(original, 'timestamp'), zone)),
            left(oms_topology.xml_text(original, 'source'), 100), left(oms_topology.xml_text(original, 'topic'), 100),
            oms_topology.iso_time(oms_topology.parse_time(oms_topology.xml_text(original, 'processed_at'), zone))));
END $$;

-- Parsed events, each with its records: as its parser gave them, else read from its payload.
CREATE FUNCTION oms_topology.with_kaifa_records(p_parsed jsonb[]) RETURNS jsonb[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT bool_and(u.parsed ? 'records') FROM unnest(p_parsed) AS u (parsed)) THEN
        RETURN p_parsed;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN u.parsed ? 'records' THEN u.parsed
                    ELSE u.parsed || jsonb_build_object('records', oms_topology.kaifa_records(
                        oms_topology.without_prefixes(u.parsed -> 'payload'))) END
        FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place) ORDER BY u.place);
END $$;

-- Identified objects as rows [mRID, name, type of name, its description].
CREATE FUNCTION oms_topology.identified_records(p_node jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_array(
        CASE WHEN length(i.mrid) <= 100 THEN i.mrid END, i.name, i.name_type, i.name_description) ORDER BY i.place), '[]')
    FROM oms_topology.identified(p_node) i
$$;

-- The meter of each asset: by its mRID, else by its number; else, where the registry knows no such asset, the
-- one meter of the usage point. A usage point that several meters share names none. Provisional meters come
-- last and have no usage point: otherwise who came first would decide.
CREATE FUNCTION oms_topology.meters_of_assets(p_mrids text[], p_usage_point_mrids text[]) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN ARRAY(
        SELECT CASE WHEN f.is_registered THEN f.meter_no ELSE COALESCE(p.meter_no, f.meter_no) END
        FROM unnest(p_mrids, p_usage_point_mrids) WITH ORDINALITY AS u (mrid, point, at)
        LEFT JOIN LATERAL (
            SELECT m.meter_no, v.meter_no IS NULL AS is_registered
            FROM (SELECT m.meter_no, COALESCE(m.status, 'active') = 'active' AS is_active, m.meter_number, 1 AS rank
                  FROM public.oms_meters m WHERE m.asset_mrid = u.mrid
                  UNION ALL
                  SELECT m.meter_no, true, m.meter_number, CASE WHEN m.meter_number = u.mrid THEN 2 ELSE 3 END
                  FROM public.oms_meters m
                  WHERE upper(btrim(m.meter_number)) = upper(btrim(u.mrid, E' \t\n\r\f\x0B'))) m
            LEFT JOIN oms_topology.provisional_meter v ON v.meter_no = m.meter_no
            ORDER BY v.meter_no IS NULL DESC, m.rank > 1, m.is_active DESC, m.rank, m.meter_number COLLATE "C"
            LIMIT 1) f ON true
        LEFT JOIN LATERAL (
            SELECT min(m.meter_no) AS meter_no FROM public.oms_meters m
            WHERE f.is_registered IS NOT TRUE AND m.usage_point_mrid = u.point AND COALESCE(m.status, 'active') = 'active'
              AND NOT EXISTS (SELECT FROM oms_topology.provisional_meter v WHERE v.meter_no = m.meter_no)
            HAVING count(*) = 1) p ON true
        ORDER BY u.at);
END $$;

-- A number for a meter of which nothing but a long mRID is known.
CREATE FUNCTION oms_topology.number_of_asset(p_mrid text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN length(p_mrid) <= 64 THEN p_mrid ELSE left(p_mrid, 55) || '#' || left(md5(p_mrid), 8) END
$$;

-- The meters of events' assets and usage points: for each asset and each usage point of each event its place,
-- mRID and meter. Where p_registers, assets that nobody knew are registered; an event without assets is
-- about the meter of its usage point, and an event with one asset gives the usage point that asset's meter.
CREATE FUNCTION oms_topology.meters_of_kaifa_events(
    p_parsed jsonb[], p_registers boolean,
    OUT places integer[], OUT mrids text[], OUT are_assets boolean[], OUT are_reporters boolean[], OUT meter_nos integer[],
    OUT registered integer[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    points text[];
    lone   boolean[];
BEGIN
    SELECT array_agg(x.place ORDER BY x.place, x.is_asset DESC, x.at), array_agg(x.mrid ORDER BY x.place, x.is_asset DESC, x.at),
           array_agg(x.is_asset ORDER BY x.place, x.is_asset DESC, x.at),
           array_agg(CASE WHEN x.is_asset AND x.assets = 1 AND x.points = 1 OR NOT x.is_asset THEN x.point END
                     ORDER BY x.place, x.is_asset DESC, x.at),
           array_agg(x.assets = 1 AND x.points = 1 ORDER BY x.place, x.is_asset DESC, x.at),
           array_agg(x.is_asset OR x.assets = 0 AND x.points = 1 ORDER BY x.place, x.is_asset DESC, x.at)
    INTO places, mrids, are_assets, points, lone, are_reporters
    FROM (SELECT u.place::integer AS place, l.mrid, l.is_asset, l.at,
                 count(*) FILTER (WHERE l.is_asset) OVER event AS assets,
                 count(*) FILTER (WHERE NOT l.is_asset) OVER event AS points,
                 CASE WHEN l.is_asset THEN min(l.mrid) FILTER (WHERE NOT l.is_asset) OVER event ELSE l.mrid END AS point
          FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
          CROSS JOIN LATERAL (
              SELECT a.row ->> 0 AS mrid, true AS is_asset, min(a.at) AS at
              FROM jsonb_array_elements(u.parsed #> '{records,assets}') WITH ORDINALITY AS a (row, at) GROUP BY a.row ->> 0
              UNION ALL
              SELECT p.row ->> 0, false, min(p.at)
              FROM jsonb_array_elements(u.parsed #> '{records,usage_points}') WITH ORDINALITY AS p (row, at) GROUP BY p.row ->> 0) l
          WHERE l.mrid IS NOT NULL
          WINDOW event AS (PARTITION BY u.place)) x;
    IF places IS NULL THEN
        RETURN;
    END IF;
    meter_nos := oms_topology.meters_of_assets(
        ARRAY(SELECT CASE WHEN u.is_asset THEN u.mrid END FROM unnest(mrids, are_assets) WITH ORDINALITY AS u (mrid, is_asset, at) ORDER BY u.at),
        points);
    -- Nothing is registered for a batch that is taken up again without its refused events.
    IF p_registers AND EXISTS (SELECT FROM unnest(are_assets, meter_nos) AS u (is_asset, meter_no) WHERE u.is_asset AND u.meter_no IS NULL)
       AND NOT EXISTS (SELECT FROM unnest(are_reporters, are_assets, meter_nos) AS u (is_reporter, is_asset, meter_no)
                       WHERE u.is_reporter AND NOT u.is_asset AND u.meter_no IS NULL) THEN
        SELECT oms_topology.register_meters(
                   array_agg(oms_topology.number_of_asset(u.mrid)),
                   array_agg(jsonb_build_object('meter_type', 'kaifa', 'asset_mrid', u.mrid, 'usage_point_mrid', u.point)))
        INTO registered
        FROM unnest(mrids, are_assets, meter_nos, points) AS u (mrid, is_asset, meter_no, point)
        WHERE u.is_asset AND u.meter_no IS NULL;
        meter_nos := ARRAY(
            SELECT COALESCE(u.meter_no, u.registered_no)
            FROM unnest(meter_nos, oms_topology.meters_of_assets(
                     ARRAY(SELECT CASE WHEN u.is_asset THEN u.mrid END
                           FROM unnest(mrids, are_assets) WITH ORDINALITY AS u (mrid, is_asset, at) ORDER BY u.at),
                     '{}')) WITH ORDINALITY AS u (meter_no, registered_no, at) ORDER BY u.at);
    END IF;
    meter_nos := ARRAY(
        SELECT COALESCE(u.meter_no, CASE WHEN u.is_lone THEN max(u.meter_no) FILTER (WHERE u.is_asset) OVER (PARTITION BY u.place) END)
        FROM unnest(places, are_assets, meter_nos, lone) WITH ORDINALITY AS u (place, is_asset, meter_no, is_lone, at) ORDER BY u.at);
END $$;

-- Events and their headers. A message id that another event of the message bears already gets a suffix: the
-- deployed key allows each but once.
CREATE FUNCTION oms_topology.store_kaifa_headers(p_event_ids uuid[], p_parsed jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids    text := oms_topology.id_prefix();
    stored integer;
BEGIN
    INSERT INTO public.kaifa_events (id, message_type, event_timestamp)
    SELECT u.event_id, COALESCE(u.parsed #>> '{details,message_type}', 'EndDeviceEvent'), (u.parsed ->> 'occurred_at')::timestamptz
    FROM unnest(p_event_ids, p_parsed) AS u (event_id, parsed);
    FOR is_told_apart IN 0 .. 1 LOOP
        INSERT INTO public.kaifa_event_headers
            (id, event_id, verb, noun, revision, header_timestamp, source, async_reply_flag, ack_required, message_id,
             correlation_id, comment)
        SELECT (ids || lpad(to_hex(u.place), 6, '0'))::uuid, u.event_id, COALESCE(d ->> 'verb', 'N/A'), COALESCE(d ->> 'noun', 'N/A'), d ->> 'revision',
               COALESCE((r ->> 'header_timestamp')::timestamptz, (u.parsed ->> 'occurred_at')::timestamptz),
               d ->> 'header_source', (r ->> 'async_reply_flag')::boolean, (r ->> 'ack_required')::boolean,
               CASE is_told_apart WHEN 0 THEN d ->> 'message_id'
                   ELSE left(d ->> 'message_id', 80) || '#' || right(replace(u.event_id::text, '-', ''), 16) END,
               d ->> 'correlation_id', d ->> 'comment'
        FROM unnest(p_event_ids, p_parsed) WITH ORDINALITY AS u (event_id, parsed, place)
        CROSS JOIN LATERAL (SELECT u.parsed -> 'details' AS d, u.parsed -> 'records' AS r OFFSET 0) x
        WHERE is_told_apart = 0 OR NOT EXISTS (SELECT FROM public.kaifa_event_headers h WHERE h.event_id = u.event_id)
        ORDER BY d ->> 'message_id' COLLATE "C", u.event_id
        ON CONFLICT (message_id) DO NOTHING;
        GET DIAGNOSTICS stored = ROW_COUNT;
        EXIT WHEN stored = cardinality(p_event_ids);
    END LOOP;
    INSERT INTO public.kaifa_event_users (id, header_id, user_id, organization)
    SELECT n.id, n.id, u.parsed #>> '{details,header_user_id}', u.parsed #>> '{details,organization}'
    FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
    CROSS JOIN LATERAL (SELECT (ids || lpad(to_hex(u.place), 6, '0'))::uuid AS id) n;
END $$;

-- What hangs on the payloads of events: assets, usage points, names, details and status.
CREATE FUNCTION oms_topology.store_kaifa_payloads(
    p_event_ids uuid[], p_parsed jsonb[], p_places integer[], p_mrids text[], p_are_assets boolean[], p_meter_nos integer[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids         text := oms_topology.id_prefix();
    payload_ids uuid[] := ARRAY(SELECT (ids || lpad(to_hex(n), 6, '0'))::uuid FROM generate_series(1, cardinality(p_event_ids)) AS n);
BEGIN
    INSERT INTO public.kaifa_event_payloads
        (id, event_id, event_id_value, created_date_time, issuer_id, issuer_tracking_id, reason, severity, user_id, event_type_ref)
    SELECT u.payload_id, u.event_id, d ->> 'event_id', (u.parsed #>> '{records,created_date_time}')::timestamptz,
           d ->> 'issuer_id', d ->> 'issuer_tracking_id', d ->> 'reason', d ->> 'severity', d ->> 'user_id', d ->> 'event_type_ref'
    FROM unnest(payload_ids, p_event_ids, p_parsed) AS u (payload_id, event_id, parsed)
    CROSS JOIN LATERAL (SELECT u.parsed -> 'details' AS d OFFSET 0) x;
    INSERT INTO public.kaifa_event_assets (id, payload_id, mrid, name, name_type, name_description, meter_id)
    SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, u.payload_id, a ->> 0, a ->> 1, a ->> 2, a ->> 3, m.id
    FROM unnest(payload_ids, p_parsed) WITH ORDINALITY AS u (payload_id, parsed, place)
    CROSS JOIN LATERAL jsonb_array_elements(u.parsed #> '{records,assets}') AS a
    LEFT JOIN unnest(p_places, p_mrids, p_are_assets, p_meter_nos) AS f (place, mrid, is_asset, meter_no)
        ON f.place = u.place AND f.mrid = a ->> 0 AND f.is_asset
    LEFT JOIN LATERAL (SELECT m.id FROM public.oms_meters m WHERE m.meter_no = f.meter_no LIMIT 1) m ON true;
    INSERT INTO public.kaifa_event_usage_points (id, payload_id, mrid, name, name_type, name_description, meter_id)
    SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, u.payload_id, a ->> 0, a ->> 1, a ->> 2, a ->> 3, m.id
    FROM unnest(payload_ids, p_parsed) WITH ORDINALITY AS u (payload_id, parsed, place)
    CROSS JOIN LATERAL jsonb_array_elements(u.parsed #> '{records,usage_points}') AS a
    LEFT JOIN unnest(p_places, p_mrids, p_are_assets, p_meter_nos) AS f (place, mrid, is_asset, meter_no)
        ON f.place = u.place AND f.mrid = a ->> 0 AND NOT f.is_asset
    LEFT JOIN LATERAL (SELECT m.id FROM public.oms_meters m WHERE m.meter_no = f.meter_no LIMIT 1) m ON true;
    INSERT INTO public.kaifa_event_names (id, payload_id, name, name_type, name_description)
    SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, u.payload_id, a ->> 1, a ->> 2, a ->> 3
    FROM unnest(payload_ids, p_parsed) AS u (payload_id, parsed)
    CROSS JOIN LATERAL jsonb_array_elements(u.parsed #> '{records,names}') AS a WHERE a ->> 1 IS NOT NULL;
    INSERT INTO public.kaifa_event_details (id, payload_id, name, value, detail_order)
    SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, u.payload_id, a ->> 0, a ->> 1, (a ->> 2)::integer
    FROM unnest(payload_ids, p_parsed) AS u (payload_id, parsed)
    CROSS JOIN LATERAL jsonb_array_elements(u.parsed #> '{records,details}') AS a;
    INSERT INTO public.kaifa_event_status (id, payload_id, date_time, reason, remark, value)
    SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, u.payload_id, (s ->> 0)::timestamptz, s ->> 1, s ->> 2, s ->> 3
    FROM unnest(payload_ids, p_parsed) AS u (payload_id, parsed)
    CROSS JOIN LATERAL (SELECT u.parsed #> '{records,status}' AS s OFFSET 0) x WHERE jsonb_typeof(s) = 'array';
END $$;

CREATE FUNCTION oms_topology.store_kaifa_envelopes(p_event_ids uuid[], p_parsed jsonb[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids text := oms_topology.id_prefix();
BEGIN
    INSERT INTO public.kaifa_event_metadata (id, event_id, source, processed_at)
    SELECT (ids || lpad(to_hex(u.place), 6, '0'))::uuid, u.event_id, u.parsed #>> '{records,metadata,0}', (u.parsed #>> '{records,metadata,1}')::timestamptz
    FROM unnest(p_event_ids, p_parsed) WITH ORDINALITY AS u (event_id, parsed, place);
    INSERT INTO public.kaifa_event_original_messages (id, event_id, original_timestamp, source, topic, processed_at)
    SELECT (ids || lpad(to_hex(u.place), 6, '0'))::uuid, u.event_id, (u.parsed #>> '{records,original,0}')::timestamptz, u.parsed #>> '{records,original,1}',
           u.parsed #>> '{records,original,2}', (u.parsed #>> '{records,original,3}')::timestamptz
    FROM unnest(p_event_ids, p_parsed) WITH ORDINALITY AS u (event_id, parsed, place);
END $$;

-- Stores new events in the tables of the deployed database; p_new_places tells which of p_parsed are.
CREATE FUNCTION oms_topology.store_kaifa_events(
    p_event_ids uuid[], p_parsed jsonb[], p_new_places integer[],
    p_places integer[], p_mrids text[], p_are_assets boolean[], p_meter_nos integer[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    event_ids uuid[] := p_event_ids;
    parsed    jsonb[] := p_parsed;
    places    integer[] := p_places;
BEGIN
    IF cardinality(p_new_places) < cardinality(p_parsed) THEN
        event_ids := ARRAY(SELECT p_event_ids[n] FROM unnest(p_new_places) WITH ORDINALITY AS u (n, at) ORDER BY u.at);
        parsed := ARRAY(SELECT p_parsed[n] FROM unnest(p_new_places) WITH ORDINALITY AS u (n, at) ORDER BY u.at);
        places := ARRAY(SELECT array_position(p_new_places, f.place) FROM unnest(p_places) WITH ORDINALITY AS f (place, at) ORDER BY f.at);
    END IF;
    PERFORM oms_topology.store_kaifa_headers(event_ids, parsed);
    PERFORM oms_topology.store_kaifa_payloads(event_ids, parsed, places, p_mrids, p_are_assets, p_meter_nos);
    PERFORM oms_topology.store_kaifa_envelopes(event_ids, parsed);
END $$;

-- Events that came before without their meters (insert_kaifa_event_from_json alone) are linked now.
CREATE FUNCTION oms_topology.link_kaifa_events(
    p_event_ids uuid[], p_places integer[], p_mrids text[], p_are_assets boolean[], p_meter_nos integer[]
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS MATERIALIZED (
        SELECT p.id AS payload_id, f.mrid, f.is_asset, m.id AS meter_id
        FROM unnest(p_places, p_mrids, p_are_assets, p_meter_nos) AS f (place, mrid, is_asset, meter_no)
        JOIN public.kaifa_event_payloads p ON p.event_id = p_event_ids[f.place]
        JOIN public.oms_meters m ON m.meter_no = f.meter_no
    ), assets AS (
        UPDATE public.kaifa_event_assets a SET meter_id = f.meter_id
        FROM found f WHERE f.is_asset AND a.payload_id = f.payload_id AND a.mrid = f.mrid
    )
    UPDATE public.kaifa_event_usage_points u SET meter_id = f.meter_id
    FROM found f WHERE NOT f.is_asset AND u.payload_id = f.payload_id AND u.mrid = f.mrid
$$;

-- What each event would give, were it new: its id (that of the row which the deployed function left of the
-- same message, if it did) and its result.
CREATE FUNCTION oms_topology.plan_kaifa_events(
    p_parsed jsonb[], p_places integer[], p_meter_nos integer[], p_is_whole boolean,
    OUT event_ids uuid[], OUT are_known boolean[], OUT results jsonb[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids text := oms_topology.id_prefix();
BEGIN
    SELECT array_agg(x.event_id ORDER BY x.place), array_agg(x.is_known ORDER BY x.place),
           array_agg(jsonb_build_object('kaifa_event_id', x.event_id, 'meters_synced', p_is_whole,
                                        'total_meters', COALESCE(x.meters, 0)) ORDER BY x.place)
    INTO event_ids, are_known, results
    FROM (SELECT u.place, m.meters, k.event_id IS NOT NULL AS is_known,
                 COALESCE(k.event_id, (ids || lpad(to_hex(u.place), 6, '0'))::uuid) AS event_id
          FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
          LEFT JOIN (SELECT f.place, count(*) AS meters FROM unnest(p_places) AS f (place) GROUP BY f.place) m ON m.place = u.place
          LEFT JOIN LATERAL (
              SELECT h.event_id FROM public.kaifa_event_headers h
              WHERE h.message_id = u.parsed #>> '{details,message_id}' LIMIT 1) h ON true
          LEFT JOIN LATERAL (
              SELECT p.event_id FROM public.kaifa_event_payloads p
              WHERE p.event_id = h.event_id AND p.event_id_value = u.parsed #>> '{details,event_id}' LIMIT 1) p ON true
          LEFT JOIN LATERAL (
              SELECT p.event_id WHERE NOT EXISTS (
                  SELECT FROM oms_topology.signal s WHERE s.record_id = p.event_id::text AND s.source = 'kaifa')) k ON true) x;
END $$;

-- Records what events say of their meters, places being those of p_signal_nos.
CREATE FUNCTION oms_topology.sync_kaifa_meters(
    p_signal_nos bigint[], p_parsed jsonb[], p_places integer[], p_meter_nos integer[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pair record;
BEGIN
    SELECT array_agg(p_signal_nos[u.place]) AS signal_nos, array_agg(u.meter_no) AS meter_nos,
           array_agg(u.parsed ->> 'communication_status') AS communication_statuses,
           array_agg(jsonb_build_object('severity', u.parsed #>> '{details,severity}',
                                        'reason', u.parsed #>> '{details,reason}')) AS metadata
    INTO pair
    FROM (SELECT f.place, f.meter_no, p_parsed[f.place] AS parsed FROM unnest(p_places, p_meter_nos) AS f (place, meter_no)) u
    WHERE u.parsed ->> 'power_status' <> 'unknown' OR u.parsed ->> 'communication_status' IS NOT NULL;
    IF pair.signal_nos IS NOT NULL THEN
        PERFORM oms_topology.record_meter_reports(pair.signal_nos, pair.meter_nos, pair.communication_statuses, pair.metadata);
    END IF;
END $$;

-- One batch of parsed events, whole or without their meters; one result for each, in order.
CREATE FUNCTION oms_topology.record_kaifa_events(p_parsed jsonb[], p_received_at timestamptz, p_is_whole boolean) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    found   record;
    refused integer[];
    pair    record;
    planned record;
    said    record;
    fresh   record;
BEGIN
    p_parsed := oms_topology.with_kaifa_records(p_parsed);
    SELECT * INTO found FROM oms_topology.meters_of_kaifa_events(p_parsed, p_is_whole);
    refused := ARRAY(  -- by a usage point alone, and no meter or several have it
        SELECT f.place FROM unnest(found.places, found.are_assets, found.are_reporters, found.meter_nos) AS f (place, is_asset, is_reporter, meter_no)
        WHERE f.is_reporter AND NOT f.is_asset AND f.meter_no IS NULL);
    IF refused <> '{}' THEN
        RETURN oms_topology.record_usable_kaifa_events(p_parsed, refused, p_received_at, p_is_whole);
    END IF;
    SELECT array_agg(f.place) AS places, array_agg(f.meter_no) AS meter_nos INTO pair
    FROM (SELECT DISTINCT f.place, f.meter_no
          FROM unnest(found.places, found.are_reporters, found.meter_nos) AS f (place, is_reporter, meter_no)
          WHERE p_is_whole AND f.is_reporter AND f.meter_no IS NOT NULL) f;
    SELECT * INTO planned FROM oms_topology.plan_kaifa_events(p_parsed, pair.places, pair.meter_nos, p_is_whole);
    SELECT * INTO said FROM oms_topology.accept_signals('kaifa', p_parsed, p_received_at, planned.event_ids::text[], planned.results);

    SELECT array_agg(u.place::integer) FILTER (WHERE u.is_new) AS places,
           array_agg(u.place::integer) FILTER (WHERE u.is_new AND NOT u.is_known) AS unstored_places,
           array_agg(u.place::integer) FILTER (WHERE NOT u.is_new AND p_is_whole AND (s.result ->> 'meters_synced') = 'false') AS late_places,
           array_agg(COALESCE((s.result ->> 'kaifa_event_id')::uuid, u.event_id) ORDER BY u.place) AS event_ids,
           array_agg(CASE WHEN u.is_new THEN u.result ELSE s.result END || jsonb_build_object('duplicate', NOT u.is_new)
                     ORDER BY u.place) AS results
    INTO fresh
    FROM unnest(said.signal_nos, said.are_new, planned.are_known, planned.event_ids, planned.results)
         WITH ORDINALITY AS u (signal_no, is_new, is_known, event_id, result, place)
    LEFT JOIN LATERAL (SELECT s.result FROM oms_topology.signal s WHERE NOT u.is_new AND s.signal_no = u.signal_no LIMIT 1) s ON true;

    IF found.registered <> '{}' THEN
        PERFORM oms_topology.mark_provisional(found.registered, array_agg(said.signal_nos[f.place]), array_agg(f.meter_no))
        FROM unnest(pair.places, pair.meter_nos) AS f (place, meter_no) HAVING count(*) > 0;
    END IF;
    PERFORM oms_topology.sync_kaifa_meters(said.signal_nos, p_parsed, array_agg(f.place), array_agg(f.meter_no))
    FROM unnest(pair.places, pair.meter_nos) AS f (place, meter_no)
    JOIN unnest(fresh.places || fresh.late_places) AS w (place) ON w.place = f.place
    HAVING count(*) > 0;
    IF fresh.unstored_places IS NOT NULL THEN
        PERFORM oms_topology.store_kaifa_events(
            fresh.event_ids, p_parsed, fresh.unstored_places, found.places, found.mrids, found.are_assets,
            CASE WHEN p_is_whole THEN found.meter_nos END);
    END IF;
    IF p_is_whole AND (fresh.late_places IS NOT NULL OR fresh.unstored_places IS DISTINCT FROM fresh.places) THEN
        PERFORM oms_topology.link_kaifa_events(fresh.event_ids, found.places, found.mrids, found.are_assets, found.meter_nos);
        UPDATE oms_topology.signal s SET result = planned.results[w.place] || jsonb_build_object('kaifa_event_id', s.record_id)
        FROM unnest(fresh.late_places) AS w (place) WHERE s.signal_no = said.signal_nos[w.place];
    END IF;
    RETURN fresh.results;
END $$;

-- The same where some events are about a usage point that no one meter has: these are refused.
CREATE FUNCTION oms_topology.record_usable_kaifa_events(
    p_parsed jsonb[], p_refused integer[], p_received_at timestamptz, p_is_whole boolean
) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    usable  integer[] := ARRAY(
        SELECT n FROM generate_series(1, cardinality(p_parsed)) AS n WHERE n <> ALL (p_refused) ORDER BY n);
    results jsonb[] := '{}';
BEGIN
    IF usable <> '{}' THEN
        results := oms_topology.record_kaifa_events(
            ARRAY(SELECT p_parsed[u.place] FROM unnest(usable) WITH ORDINALITY AS u (place, at) ORDER BY u.at),
            p_received_at, p_is_whole);
    END IF;
    RETURN oms_topology.woven(
        array_fill(oms_topology.unusable('payload.usage_point', 'no meter, or more than one, has this usage point'), ARRAY[cardinality(p_parsed)]),
        usable, results);
END $$;

-- A message with one event or several; gives the id of the first that could be used.
CREATE FUNCTION oms_topology.record_kaifa(p_message jsonb, p_received_at timestamptz, p_is_whole boolean) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said     record;
    event    jsonb;
    clean    jsonb;
    parsed   jsonb;
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
    FOR event IN
        SELECT said.event || jsonb_build_object('payload', l.item)
        FROM oms_topology.xml_list(said.event -> 'payload') l ORDER BY l.place
    LOOP
        clean := oms_topology.without_prefixes(event);
        parsed := oms_topology.parse_kaifa(event, clean, said.envelope, p_received_at);
        IF parsed ? 'error' THEN
            PERFORM oms_topology.keep_unusable('kaifa', parsed -> 'error', event);
        ELSE
            event_id := (SELECT r.results[1] ->> 'kaifa_event_id'
                         FROM oms_topology.record_messages(
                             'kaifa', ARRAY[parsed], ARRAY[convert_to(event::text, 'UTF8')], p_received_at, p_is_whole) AS r (results))::uuid;
            first_id := COALESCE(first_id, event_id);
        END IF;
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
