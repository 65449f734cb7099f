-- What the doors of all providers share: unwrapping, the inbox, meters by their number; and
-- update_meter_status, by which older services report one meter.

-- Numbers arrive with blanks around them and in either case.
CREATE INDEX oms_meters_tidy_number_idx ON public.oms_meters (upper(btrim(meter_number)));

CREATE TABLE oms_topology.provisional_meter (
    meter_no      integer PRIMARY KEY,
    signal_no     bigint NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE oms_topology.provisional_meter IS
    'Meters that the registry did not know and a signal named: registered with what that signal said, to be verified. A row goes with its meter (62), since a foreign key would be looked at with each change of any meter.';

-- The event inside whatever wraps it (Kafka envelope, HTTP request with a text body, JSON as text), and
-- the outermost envelope, whose time is when it was sent.
CREATE FUNCTION oms_topology.unwrap(p_message jsonb, OUT envelope jsonb, OUT event jsonb, OUT error jsonb)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    envelope := '{}';
    event := p_message;
    IF octet_length(p_message::text) > 1048576 THEN
        error := oms_topology.finding('payload', 'larger than 1 MiB');
        RETURN;
    ELSIF jsonb_path_exists(p_message, 'strict $.**{64}') THEN
        error := oms_topology.finding('payload', 'nested too deeply');
        RETURN;
    END IF;
    FOR layer IN 1..6 LOOP
        IF jsonb_typeof(event) = 'string' THEN
            event := (event #>> '{}')::jsonb;
            IF jsonb_path_exists(event, 'strict $.**{64}') THEN
                error := oms_topology.finding('payload', 'nested too deeply');
                RETURN;
            END IF;
        ELSIF jsonb_typeof(event) IS DISTINCT FROM 'object' THEN
            error := oms_topology.finding('payload', 'not a JSON object');
            RETURN;
        ELSIF jsonb_typeof(event -> 'event') IN ('object', 'string') THEN
            envelope := (event - 'event') || envelope;
            event := event -> 'event';
        ELSIF jsonb_typeof(event -> 'request') = 'object' THEN
            envelope := (event - 'request') || envelope;
            event := event -> 'request';
        ELSIF jsonb_typeof(event -> 'body') IN ('object', 'string') THEN
            event := event -> 'body';
        ELSE
            RETURN;
        END IF;
    END LOOP;
    error := oms_topology.finding('payload', 'wrapped too deep');
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    error := oms_topology.finding('body', 'not JSON');
END $$;

-- The signals of parsed messages, in their order: recorded now, or those that stand. A text of p_results
-- is what each gives when it is given again; NULL while its door still has something to store. One key with
-- other content is kept beside the first, flagged; where senders reuse a key for several devices
-- (is_keyed_by_device), only if it is of the same one.
CREATE FUNCTION oms_topology.accept_signals(
    p_source text, p_parsed jsonb[], p_received_at timestamptz, p_record_ids text[] DEFAULT '{}', p_results jsonb[] DEFAULT '{}',
    OUT signal_nos bigint[], OUT are_new boolean[]
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_nos    bigint[];
    new_keys   text[];
    new_hashes text[];
BEGIN
    WITH given AS (  -- sorted without the messages themselves, which are long
        SELECT DISTINCT ON (u.key COLLATE "C", u.hash COLLATE "C") u.*
        FROM (SELECT u.parsed ->> 'source_event_id' AS key, u.parsed ->> 'content_hash' AS hash,
                     u.parsed ->> 'device_kind' AS kind, u.place::integer AS place,
                     CASE WHEN (u.parsed ->> 'is_keyed_by_device')::boolean THEN u.parsed ->> 'device_code' END AS keyed_code
              FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)) u
        ORDER BY u.key COLLATE "C", u.hash COLLATE "C", u.place
    ), inserted AS (
        INSERT INTO oms_topology.signal AS s
            (source, source_event_id, content_hash, device_kind, device_code, power_status, occurred_at, sent_at,
             received_at, time_is_sound, record_id, findings, payload, result, is_conflicting)
        SELECT p_source, g.key, g.hash, g.kind, g.parsed ->> 'device_code', g.parsed ->> 'power_status',
               (g.parsed ->> 'occurred_at')::timestamptz, (g.parsed ->> 'sent_at')::timestamptz, p_received_at,
               (g.parsed ->> 'time_is_sound')::boolean, p_record_ids[g.place], NULLIF(g.parsed -> 'findings', '[]'),
               g.parsed -> 'payload', p_results[g.place],
               g.comes_again
               OR EXISTS (SELECT FROM oms_topology.signal o
                          WHERE o.source = p_source AND o.source_event_id = g.key
                            AND o.device_kind IS NOT DISTINCT FROM g.kind
                            AND (NOT COALESCE((g.parsed ->> 'is_keyed_by_device')::boolean, false)
                                 OR o.device_code = g.parsed ->> 'device_code'))
        FROM (SELECT k.*, p_parsed[k.place] AS parsed
              FROM (SELECT g.*, row_number() OVER (PARTITION BY g.key COLLATE "C", g.kind, g.keyed_code ORDER BY g.hash COLLATE "C") > 1 AS comes_again
                    FROM given g) k
              ORDER BY k.key COLLATE "C", k.hash COLLATE "C" OFFSET 0) g
        ON CONFLICT (source, source_event_id, content_hash) DO NOTHING
        RETURNING s.signal_no, s.source_event_id, s.content_hash
    )
    SELECT array_agg(i.signal_no), array_agg(i.source_event_id), array_agg(i.content_hash)
    INTO new_nos, new_keys, new_hashes FROM inserted i;
    IF cardinality(p_parsed) = 1 AND cardinality(new_nos) = 1 THEN
        signal_nos := new_nos;
        are_new := '{true}';
        RETURN;
    END IF;

    SELECT array_agg(COALESCE(i.signal_no, o.signal_no) ORDER BY g.place),
           array_agg(i.signal_no IS NOT NULL AND g.is_first ORDER BY g.place)
    INTO signal_nos, are_new
    FROM (SELECT u.place, u.parsed ->> 'source_event_id' AS key, u.parsed ->> 'content_hash' AS hash,
                 row_number() OVER (PARTITION BY u.parsed ->> 'source_event_id', u.parsed ->> 'content_hash'
                                    ORDER BY u.place) = 1 AS is_first
          FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)) g
    LEFT JOIN unnest(new_nos, new_keys, new_hashes) AS i (signal_no, key, hash) ON i.key = g.key AND i.hash = g.hash
    LEFT JOIN LATERAL (
        SELECT s.signal_no FROM oms_topology.signal s
        WHERE i.signal_no IS NULL AND s.source = p_source AND s.source_event_id = g.key AND s.content_hash = g.hash LIMIT 1) o
        ON true;
END $$;

-- The same for one message: its whole row.
CREATE FUNCTION oms_topology.accept_signal(p_source text, p_parsed jsonb, p_received_at timestamptz) RETURNS oms_topology.signal
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    accepted record;
    said     oms_topology.signal;
BEGIN
    SELECT * INTO accepted FROM oms_topology.accept_signals(p_source, ARRAY[p_parsed], p_received_at);
    SELECT * INTO STRICT said FROM oms_topology.signal s WHERE s.signal_no = accepted.signal_nos[1];
    RETURN said;
END $$;

CREATE FUNCTION oms_topology.finish_signal(p_signal_no bigint, p_result jsonb, p_findings jsonb DEFAULT '[]') RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE oms_topology.signal
    SET result = p_result, findings = NULLIF(COALESCE(findings, '[]') || p_findings, '[]')
    WHERE signal_no = p_signal_no
$$;

-- One message that could not be used; the doors that return an id return NULL for it.
CREATE FUNCTION oms_topology.keep_unusable(p_source text, p_error jsonb, p_message jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.keep_dead_letter(p_source, p_error ->> 'field', p_error ->> 'reason',
                                         convert_to(COALESCE(p_message::text, ''), 'UTF8'))
$$;

-- What messages gave when they came before, with nothing left to do for them; NULL for the others, in order.
CREATE FUNCTION oms_topology.known_results(p_source text, p_parsed jsonb[], p_is_whole boolean) RETURNS jsonb[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN ARRAY(
        SELECT k.result || '{"duplicate": true}'
        FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
        LEFT JOIN LATERAL (
            SELECT s.result FROM oms_topology.signal s
            WHERE s.source = p_source AND s.source_event_id = u.parsed ->> 'source_event_id'
              AND s.content_hash = u.parsed ->> 'content_hash'
              AND (NOT p_is_whole OR COALESCE(s.result ->> 'meters_synced', s.result ->> 'meter_linked') = 'true')
            LIMIT 1) k ON true
        ORDER BY u.place);
END $$;

-- One batch of parsed messages of one provider, each with its raw bytes; one result for each, in order.
CREATE FUNCTION oms_topology.record_messages(
    p_source text, p_parsed jsonb[], p_raw bytea[], p_received_at timestamptz, p_is_whole boolean DEFAULT true
) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known   jsonb[];
    fresh   integer[];
    results jsonb[] := '{}';
BEGIN
    IF p_source = 'scada' THEN
        RETURN oms_topology.record_scada_messages(p_parsed, p_raw, p_received_at);
    END IF;
    known := oms_topology.known_results(p_source, p_parsed, p_is_whole);
    fresh := array_positions(known, NULL);
    IF cardinality(fresh) = cardinality(known) THEN
        RETURN oms_topology.record_new_messages(p_source, p_parsed, p_raw, p_received_at, p_is_whole);
    ELSIF fresh <> '{}' THEN
        results := oms_topology.record_new_messages(
            p_source, ARRAY(SELECT p_parsed[n] FROM unnest(fresh) WITH ORDINALITY AS u (n, at) ORDER BY u.at),
            ARRAY(SELECT p_raw[n] FROM unnest(fresh) WITH ORDINALITY AS u (n, at) ORDER BY u.at), p_received_at, p_is_whole);
    END IF;
    RETURN oms_topology.woven(known, fresh, results);
END $$;

-- Results with others put in their places.
CREATE FUNCTION oms_topology.woven(p_results jsonb[], p_places integer[], p_others jsonb[]) RETURNS jsonb[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN ARRAY(
        SELECT COALESCE(o.other, r.result)
        FROM unnest(p_results) WITH ORDINALITY AS r (result, place)
        LEFT JOIN unnest(p_places, p_others) AS o (place, other) ON o.place = r.place
        ORDER BY r.place);
END $$;

-- The same for messages of which none is known. What cannot be stored costs nobody else: the batch is halved
-- until it stands alone, and becomes a dead letter.
CREATE FUNCTION oms_topology.record_new_messages(
    p_source text, p_parsed jsonb[], p_raw bytea[], p_received_at timestamptz, p_is_whole boolean
) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    half    integer := cardinality(p_parsed) / 2;
    results jsonb[];
BEGIN
    BEGIN
        results := CASE p_source
            WHEN 'onu' THEN oms_topology.record_onu_messages(p_parsed, p_received_at, p_is_whole)
            WHEN 'kaifa' THEN oms_topology.record_kaifa_events(p_parsed, p_received_at, p_is_whole)
            WHEN 'call_center' THEN oms_topology.record_calls(p_parsed, p_received_at, p_is_whole) END;
    EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
        IF half > 0 THEN
            RETURN oms_topology.record_new_messages(p_source, p_parsed[:half], p_raw[:half], p_received_at, p_is_whole)
                || oms_topology.record_new_messages(p_source, p_parsed[half + 1:], p_raw[half + 1:], p_received_at, p_is_whole);
        END IF;
        results := ARRAY[oms_topology.unusable('payload', 'cannot be stored: ' || SQLSTATE)];
    END;
    IF cardinality(results) = 1 AND NOT results[1] ? 'error' THEN
        RETURN results;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN u.result ? 'error' THEN oms_topology.dead_letter(p_source, u.result -> 'error', u.raw) ELSE u.result END
        FROM unnest(results, p_raw) WITH ORDINALITY AS u (result, raw, place) ORDER BY u.place);
END $$;

-- The result that tells of a message put aside, byte for byte.
CREATE FUNCTION oms_topology.dead_letter(p_source text, p_error jsonb, p_raw bytea) RETURNS jsonb
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'reason', (p_error ->> 'field') || ': ' || (p_error ->> 'reason'),
        'dead_letter_id', oms_topology.keep_dead_letter(p_source, p_error ->> 'field', p_error ->> 'reason', p_raw))
$$;

-- The meter of one number: written exactly so, else the first by code that differs in blanks or case only.
CREATE FUNCTION oms_topology.find_meter(p_meter_number text) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.meter_no FROM public.oms_meters m
    WHERE upper(btrim(m.meter_number)) = upper(btrim(p_meter_number, E' \t\n\r\f\x0B'))
    ORDER BY m.meter_number = p_meter_number DESC, m.meter_number COLLATE "C"
    LIMIT 1
$$;

-- The meters of the given numbers, in their order; NULL for those that nobody knows.
CREATE FUNCTION oms_topology.find_meters(p_numbers text[]) RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_numbers IS NULL THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(
        SELECT (SELECT m.meter_no FROM public.oms_meters m
                WHERE upper(btrim(m.meter_number)) = upper(btrim(u.number, E' \t\n\r\f\x0B'))
                ORDER BY m.meter_number = u.number DESC, m.meter_number COLLATE "C" LIMIT 1)
        FROM unnest(p_numbers) WITH ORDINALITY AS u (number, at) ORDER BY u.at);
END $$;

-- Registers the meters of the given numbers that nobody knows yet, with what is known of each; gives them.
CREATE FUNCTION oms_topology.register_meters(p_numbers text[], p_known jsonb[]) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    registered integer[];
BEGIN
    WITH registration AS (
        INSERT INTO public.oms_meters
            (meter_number, meter_type, onu_id, onu_serial_no, location_lat, location_lng, asset_mrid, usage_point_mrid)
        SELECT DISTINCT ON (upper(n.number) COLLATE "C")
               n.number, COALESCE(n.known ->> 'meter_type', 'smart'), (n.known ->> 'onu_id')::integer,
               n.known ->> 'onu_serial_no', (n.known ->> 'latitude')::numeric, (n.known ->> 'longitude')::numeric,
               n.known ->> 'asset_mrid', n.known ->> 'usage_point_mrid'
        FROM (SELECT btrim(u.number, E' \t\n\r\f\x0B') AS number, u.known, u.place
              FROM unnest(p_numbers, p_known) WITH ORDINALITY AS u (number, known, place)) n
        WHERE n.number <> '' AND NOT EXISTS (
            SELECT FROM public.oms_meters m WHERE upper(btrim(m.meter_number)) = upper(n.number))
        ORDER BY upper(n.number) COLLATE "C", n.number COLLATE "C", n.place
        ON CONFLICT (meter_number) DO NOTHING
        RETURNING meter_no
    )
    SELECT COALESCE(array_agg(r.meter_no), '{}') INTO registered FROM registration r;
    RETURN registered;
END $$;

-- Marks meters as provisional, each with the first of the signals that named it.
CREATE FUNCTION oms_topology.mark_provisional(p_registered integer[], p_signal_nos bigint[], p_meter_nos integer[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO oms_topology.provisional_meter (meter_no, signal_no)
    SELECT u.meter_no, min(u.signal_no) FROM unnest(p_signal_nos, p_meter_nos) AS u (signal_no, meter_no)
    WHERE u.meter_no = ANY (p_registered) GROUP BY u.meter_no ORDER BY u.meter_no
    ON CONFLICT (meter_no) DO NOTHING
$$;

-- The audit row that stands for a report: its own, or that of the run of equal status it only repeats.
CREATE FUNCTION oms_topology.status_event_of(p_meter_no integer, p_said oms_topology.signal, p_status text) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.id
    FROM public.oms_meters m
    JOIN public.oms_meter_status_events e ON e.meter_id = m.id
    WHERE m.meter_no = p_meter_no AND e.new_status = p_status AND e.event_timestamp <= (p_said).occurred_at
    ORDER BY e.event_timestamp DESC, e.source_event_id = COALESCE((p_said).record_id, (p_said).source_event_id) DESC,
             e.created_at DESC, e.id
    LIMIT 1
$$;

CREATE FUNCTION oms_topology.status_request_error(
    p_new_status text, p_event_type text, p_source_type text, p_source_event_id text
) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN COALESCE(p_source_type, '') NOT IN ('scada', 'onu', 'kaifa', 'call_center', 'system')
            THEN oms_topology.finding('source_type', 'not scada, onu, kaifa, call_center or system')
        WHEN COALESCE(p_new_status, '') NOT IN ('on', 'off', 'unknown', 'online', 'offline')
            THEN oms_topology.finding('new_status', 'not on, off, unknown, online or offline')
        WHEN COALESCE(p_event_type, '') NOT IN ('power_on', 'power_off', 'communication_lost', 'communication_restored')
            THEN oms_topology.finding('event_type', 'not power_on, power_off, communication_lost or communication_restored')
        WHEN p_new_status <> 'unknown' AND (p_event_type, p_new_status) NOT IN (
                ('power_on', 'on'), ('power_off', 'off'),
                ('communication_lost', 'offline'), ('communication_restored', 'online'))
            THEN oms_topology.finding('new_status', 'contradicts the event type')
        WHEN length(p_source_event_id) > 100 THEN oms_topology.finding('source_event_id', 'longer than 100 characters')
        END
$$;

-- A status request as the parsed form of a signal.
CREATE FUNCTION oms_topology.parse_status_request(p_request jsonb, p_received_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said_at  timestamptz := COALESCE((p_request ->> 'event_timestamp')::timestamptz, p_received_at);
    is_sound boolean := said_at >= '2000-01-01Z' AND said_at <= p_received_at + interval '5 minutes';
    hash     text := encode(sha256(convert_to(p_request::text, 'UTF8')), 'hex');
BEGIN
    RETURN jsonb_build_object(
        'source_event_id', COALESCE(NULLIF(p_request ->> 'source_event_id', ''), 'sha256:' || hash), 'content_hash', hash,
        'device_kind', 'meter', 'device_code', p_request ->> 'meter_number', 'is_keyed_by_device', true,
        'power_status', CASE WHEN p_request ->> 'new_status' IN ('on', 'off') THEN p_request ->> 'new_status' ELSE 'unknown' END,
        'occurred_at', oms_topology.iso_time(CASE WHEN is_sound THEN said_at ELSE p_received_at END),
        'time_is_sound', is_sound, 'payload', p_request,
        'findings', CASE WHEN is_sound THEN '[]'::jsonb ELSE jsonb_build_array(
            oms_topology.finding('event_timestamp', 'impossible; counts at receipt')) END);
END $$;

-- Records a status request of a known meter; gives the audit row that stands for it, NULL if none does.
CREATE FUNCTION oms_topology.record_status_request(p_meter_no integer, p_source text, p_request jsonb) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said   oms_topology.signal;
    status text := p_request ->> 'new_status';
    event  uuid;
BEGIN
    said := oms_topology.accept_signal(p_source, oms_topology.parse_status_request(p_request, now()), now());
    IF said.result IS NOT NULL THEN
        RETURN (said.result ->> 'status_event_id')::uuid;
    END IF;
    -- A call is evidence, and no report of the meter.
    IF p_source <> 'call_center' AND status <> 'unknown' THEN
        PERFORM oms_topology.record_meter_reports(
            ARRAY[said.signal_no], ARRAY[p_meter_no], ARRAY[CASE WHEN status IN ('online', 'offline') THEN status END],
            ARRAY[NULLIF(p_request -> 'metadata', 'null')]);
        event := oms_topology.status_event_of(p_meter_no, said, status);
    END IF;
    PERFORM oms_topology.finish_signal(said.signal_no, jsonb_build_object('status_event_id', event));
    RETURN event;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    PERFORM oms_topology.keep_unusable(p_source, oms_topology.finding('payload', 'cannot be stored: ' || SQLSTATE), p_request);
    RETURN NULL;
END $$;

DROP FUNCTION IF EXISTS public.update_meter_status(
    character varying, character varying, character varying, character varying, character varying,
    timestamp with time zone, jsonb);
CREATE FUNCTION public.update_meter_status(
    p_meter_number character varying, p_new_status character varying, p_event_type character varying,
    p_source_type character varying, p_source_event_id character varying DEFAULT NULL,
    p_event_timestamp timestamp with time zone DEFAULT now(), p_metadata jsonb DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meter   integer := oms_topology.find_meter(p_meter_number);
    request jsonb;
    error   jsonb;
BEGIN
    IF meter IS NULL THEN
        RAISE EXCEPTION 'Meter not found: %', p_meter_number;
    END IF;
    request := jsonb_build_object(
        'meter_number', (SELECT m.meter_number FROM public.oms_meters m WHERE m.meter_no = meter),
        'new_status', p_new_status, 'event_type', p_event_type, 'source_type', p_source_type,
        'source_event_id', p_source_event_id, 'event_timestamp', p_event_timestamp,
        'metadata', CASE WHEN jsonb_typeof(p_metadata) = 'object'
            THEN p_metadata - ARRAY['phone', 'address', 'customer_phone', 'customer_address'] ELSE p_metadata END);
    error := oms_topology.status_request_error(p_new_status, p_event_type, p_source_type, p_source_event_id);
    IF error IS NOT NULL THEN
        PERFORM oms_topology.keep_unusable(
            CASE WHEN error ->> 'field' = 'source_type' THEN 'system' ELSE p_source_type END, error, request);
        RETURN NULL;
    END IF;
    RETURN oms_topology.record_status_request(meter, p_source_type, request);
END $$;

-- Active meters at a distribution point, by meter number; none for an unknown code.
DROP FUNCTION IF EXISTS public.get_meters_by_distribution_point(character varying);
CREATE FUNCTION public.get_meters_by_distribution_point(p_dp_id character varying)
RETURNS TABLE (
    meter_id uuid, meter_number character varying, communication_status character varying,
    power_status character varying, last_communication timestamp with time zone, customer_id uuid,
    location_lat numeric, location_lng numeric)
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1000
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT m.id, m.meter_number, m.communication_status, m.power_status, m.last_communication, m.customer_id,
           m.location_lat, m.location_lng
    FROM public.network_distribution_points AS d
    JOIN public.oms_meters AS m ON m.dp_id = d.id
    WHERE d.dp_id = p_dp_id AND m.status = 'active'
    ORDER BY m.meter_number
$$;
