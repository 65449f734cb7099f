-- oms_correlate_events: which outage a report from any source belongs to. What the database knows of the
-- report (its device, its meters, whether it says "off" at all) goes before what the caller says; topology
-- goes before distance; the nearest outage before a newer one.

-- The rule in force: the storm rule while storm mode is on, else the widest of the others.
CREATE FUNCTION oms_topology.active_rule() RETURNS public.oms_correlation_rules
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT r FROM public.oms_correlation_rules r
    WHERE r.is_active
    ORDER BY (r.rule_name ILIKE '%storm%')
                 = EXISTS (SELECT FROM public.oms_storm_mode_config c WHERE c.is_active) DESC,
             cardinality(r.source_types) DESC, r.created_at, r.rule_name
    LIMIT 1
$$;

CREATE FUNCTION oms_topology.source_weight(p_source_type text) RETURNS numeric
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(CASE p_source_type
        WHEN 'scada' THEN (r.rule).weight_scada WHEN 'kaifa' THEN (r.rule).weight_kaifa
        WHEN 'onu' THEN (r.rule).weight_onu WHEN 'call_center' THEN (r.rule).weight_call_center END, 1.0)
    FROM (SELECT oms_topology.active_rule() AS rule) r
$$;

-- A device and all that feed it, nearest first.
CREATE FUNCTION oms_topology.devices_above(p_device_no integer) RETURNS TABLE (device_no integer, hops integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE up AS (
        SELECT d.device_no, d.parent_no, ARRAY[d.device_no] AS seen
        FROM oms_topology.device d WHERE d.device_no = p_device_no
        UNION ALL
        SELECT d.device_no, d.parent_no, up.seen || d.device_no
        FROM up JOIN oms_topology.device d ON d.device_no = up.parent_no WHERE d.device_no <> ALL (up.seen)
    )
    SELECT up.device_no, cardinality(up.seen) - 1 FROM up
$$;

-- The lowest device that feeds all the given meters; NULL if there is none.
CREATE FUNCTION oms_topology.common_device(p_meter_nos integer[]) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH place AS (
        SELECT min(m.device_no) AS device_no, min(m.segment_no) AS segment_no, min(m.position_no) AS first_no,
               max(m.position_no) AS last_no, count(DISTINCT m.segment_no) AS segments
        FROM public.oms_meters m WHERE m.meter_no = ANY (p_meter_nos) AND m.position_no IS NOT NULL
    )
    SELECT d.device_no
    FROM place p
    CROSS JOIN LATERAL oms_topology.devices_above(p.device_no) a
    JOIN oms_topology.device d ON d.device_no = a.device_no
    WHERE p.segments = 1 AND d.segment_no = p.segment_no
      AND d.position_no <= p.first_no AND d.last_position_no >= p.last_no
    ORDER BY a.hops LIMIT 1
$$;

-- power_status is none for a code that is known to be no loss: a remote disconnection, a sag, a tamper.
CREATE TYPE oms_topology.correlation_scope AS (
    source_event_id text, source_table text, power_status text, outage_event_id uuid,
    device_no integer, meter_nos integer[], latitude numeric, longitude numeric
);

-- What the database knows of a report that a caller names; all NULL but the id where it knows nothing.
CREATE FUNCTION oms_topology.source_scope(p_source_type text, p_source_event_id text) RETURNS oms_topology.correlation_scope
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope  oms_topology.correlation_scope;
    key    text := regexp_replace(p_source_event_id, '^(scada|cc)_(?=[0-9a-fA-F-]{36}$)', '');
    row_id uuid := CASE WHEN key ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN key::uuid END;
BEGIN
    scope.source_event_id := CASE WHEN p_source_type IN ('scada', 'call_center')
                                  THEN COALESCE(row_id::text, p_source_event_id) ELSE p_source_event_id END;
    IF p_source_type = 'scada' THEN
        SELECT 'scada_events', oms_topology.scada_power_status(COALESCE(NULLIF(e.alarm_type, 'N/A'), e.event_type)),
               e.outage_event_id, COALESCE(s.device_no, oms_topology.find_device('feeder', e.feeder_id),
                                           oms_topology.find_device('substation', e.substation_id)),
               e.latitude, e.longitude
        INTO scope.source_table, scope.power_status, scope.outage_event_id, scope.device_no, scope.latitude, scope.longitude
        FROM public.scada_events e
        LEFT JOIN oms_topology.signal s ON s.source = 'scada' AND s.record_id = e.id::text
        WHERE e.id = row_id;
    ELSIF p_source_type = 'onu' THEN
        SELECT 'onu_events', oms_topology.onu_power_status(e.event_type),
               ARRAY(SELECT m.meter_no FROM public.oms_meters m WHERE m.onu_id = e.onu_id OR m.id = e.meter_id
                     UNION SELECT oms_topology.find_meter(n.number)
                     FROM oms_topology.meter_numbers(e.raw_payload -> 'associatedMeters') l, unnest(l.numbers) AS n (number)
                     ORDER BY 1),
               e.location_lat, e.location_lng
        INTO scope.source_table, scope.power_status, scope.meter_nos, scope.latitude, scope.longitude
        FROM public.onu_events e WHERE e.event_id = p_source_event_id;
    ELSIF p_source_type = 'kaifa' THEN
        SELECT 'kaifa_events', COALESCE(c.power_status, CASE WHEN c.code IS NULL THEN 'unknown' ELSE 'none' END), p.event_id::text,
               ARRAY(SELECT m.meter_no FROM public.kaifa_event_assets a JOIN public.oms_meters m ON m.id = a.meter_id
                     WHERE a.payload_id = p.id ORDER BY 1)
        INTO scope.source_table, scope.power_status, scope.source_event_id, scope.meter_nos
        FROM public.kaifa_event_payloads p
        LEFT JOIN oms_topology.end_device_event_code c ON lower(c.code) = lower(p.event_type_ref)
        WHERE p.event_id_value = p_source_event_id OR p.event_id = row_id
        ORDER BY p.created_date_time, p.event_id LIMIT 1;
        scope.source_event_id := COALESCE(scope.source_event_id, p_source_event_id);
    ELSIF p_source_type = 'call_center' THEN
        SELECT 'callcenter_tickets', 'off',
               ARRAY(SELECT m.meter_no FROM public.callcenter_customers c JOIN public.oms_meters m ON m.id = c.meter_id
                     WHERE c.ticket_id = t.id ORDER BY 1)
        INTO scope.source_table, scope.power_status, scope.meter_nos
        FROM public.callcenter_tickets t WHERE t.id = row_id;
    END IF;
    RETURN scope;
END $$;

-- The scope of a report with its device and its position, the caller's position first, if it is one.
CREATE FUNCTION oms_topology.correlation_scope_of(
    p_source_type text, p_source_event_id text, p_latitude numeric, p_longitude numeric
) RETURNS oms_topology.correlation_scope
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    scope oms_topology.correlation_scope := oms_topology.source_scope(p_source_type, p_source_event_id);
BEGIN
    scope.device_no := COALESCE(scope.device_no, oms_topology.common_device(scope.meter_nos));
    SELECT p.latitude, p.longitude INTO scope.latitude, scope.longitude
    FROM (SELECT 1 AS rank, p_latitude AS latitude, p_longitude AS longitude
          UNION ALL SELECT 2, scope.latitude, scope.longitude
          UNION ALL (SELECT 3, m.location_lat, m.location_lng FROM public.oms_meters m
                     WHERE m.meter_no = ANY (scope.meter_nos) AND m.location_lat IS NOT NULL AND m.location_lng IS NOT NULL
                     ORDER BY m.meter_number COLLATE "C" LIMIT 1)
          UNION ALL SELECT 4, d.latitude::numeric, d.longitude::numeric
                    FROM oms_topology.device d WHERE d.device_no = scope.device_no) p
    WHERE p.latitude BETWEEN -90 AND 90 AND p.longitude BETWEEN -180 AND 180 AND (p.latitude, p.longitude) <> (0, 0)
    ORDER BY p.rank LIMIT 1;
    RETURN scope;
END $$;

-- Half the height and width, in degrees, of the box that holds every point within a radius; a box that
-- touches a pole goes all the way round. A hair too large: the degree is taken as 111 km.
CREATE FUNCTION oms_topology.search_box(p_latitude numeric, p_radius_m integer, OUT lat_deg numeric, OUT lng_deg numeric)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT h.height, CASE WHEN abs(p_latitude) + h.height >= 90 THEN 360
        ELSE degrees(asin(LEAST(1, sin(radians(h.height::float8)) / cos(radians(p_latitude::float8)))))::numeric END
    FROM (SELECT p_radius_m / 111000.0 AS height) h
$$;

-- Calls that could concern the same outage come one after the other, others side by side: a lock a source
-- event, one a supply tree, and one a cell of 0.05 degrees that the search box touches.
CREATE FUNCTION oms_topology.lock_correlation(
    p_source_type text, p_scope oms_topology.correlation_scope, p_radius_m integer
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cell    constant numeric := 0.05;
    lat_deg numeric;
    lng_deg numeric;
    is_wide boolean;
    segment integer;
BEGIN
    SELECT b.lat_deg, b.lng_deg INTO lat_deg, lng_deg FROM oms_topology.search_box(p_scope.latitude, p_radius_m) b;
    is_wide := p_scope.latitude IS NOT NULL AND (
        lat_deg > 4 * cell OR lng_deg > 4 * cell OR abs(p_scope.longitude) + lng_deg > 180);
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.correlate_event'),
                                  hashtext(p_source_type || ':' || p_scope.source_event_id));
    IF is_wide THEN
        PERFORM pg_advisory_xact_lock(hashtext('oms_topology.correlate'), 0);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(hashtext('oms_topology.correlate'), 0);
    END IF;
    SELECT d.segment_no INTO segment FROM oms_topology.device d WHERE d.device_no = p_scope.device_no;
    IF segment IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtext('oms_topology.correlate_segment'), segment);
    END IF;
    IF NOT is_wide AND p_scope.latitude IS NOT NULL THEN
        FOR y IN floor((p_scope.latitude - lat_deg) / cell) .. floor((p_scope.latitude + lat_deg) / cell) LOOP
            FOR x IN floor((p_scope.longitude - lng_deg) / cell) .. floor((p_scope.longitude + lng_deg) / cell) LOOP
                PERFORM pg_advisory_xact_lock(hashtext('oms_topology.correlate_cell'), y * 10000 + x);
            END LOOP;
        END LOOP;
    END IF;
END $$;

-- The outage of a device at or above a report's own, uppermost first: it blames that device already.
CREATE FUNCTION oms_topology.device_outage_of(p_device_no integer, p_at timestamptz, p_window interval) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.outage_event_id
    FROM oms_topology.devices_above(p_device_no) a
    JOIN oms_topology.outage_device o ON o.device_no = a.device_no
    WHERE o.started_at - p_window <= p_at AND COALESCE(o.ended_at, 'infinity') > p_at
    ORDER BY a.hops DESC, o.started_at LIMIT 1
$$;

-- The open outage that a report belongs to by place: the same distribution point (feeder, substation, where
-- nothing finer is known), else the nearest within the radius. It stays joinable for a window after its
-- last source, so that a long outage does not split.
CREATE FUNCTION oms_topology.nearby_outage(
    p_event_type text, p_scope oms_topology.correlation_scope, p_at timestamptz, p_window interval, p_radius_m integer
) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH place AS (
        SELECT c.substation_id, c.feeder_id, c.dp_id, b.lat_deg, b.lng_deg
        FROM oms_topology.search_box((p_scope).latitude, p_radius_m) b
        LEFT JOIN LATERAL oms_topology.contract_place((p_scope).device_no) c ON (p_scope).device_no IS NOT NULL
    ), found AS (  -- each part by an index of its own, however many outages are open
        SELECT e.id FROM place p JOIN public.oms_outage_events e ON e.dp_id = p.dp_id
        UNION SELECT e.id FROM place p JOIN public.oms_outage_events e ON e.feeder_id = p.feeder_id
        WHERE p.dp_id IS NULL
        UNION SELECT e.id FROM place p JOIN public.oms_outage_events e ON e.substation_id = p.substation_id
        WHERE p.dp_id IS NULL AND p.feeder_id IS NULL
        UNION SELECT e.id FROM place p JOIN public.oms_outage_events e
            ON e.event_latitude BETWEEN (p_scope).latitude - p.lat_deg AND (p_scope).latitude + p.lat_deg
        WHERE e.status IN ('detected', 'confirmed', 'in_progress')
          AND (abs(e.event_longitude - (p_scope).longitude) <= p.lng_deg
               OR 360 - abs(e.event_longitude - (p_scope).longitude) <= p.lng_deg)
    ), candidate AS (
        SELECT e.id, e.event_id, e.first_detected_at,
               COALESCE(e.dp_id = p.dp_id, e.dp_id IS NULL AND p.dp_id IS NULL AND COALESCE(e.feeder_id = p.feeder_id,
                   e.feeder_id IS NULL AND p.feeder_id IS NULL AND COALESCE(e.substation_id = p.substation_id, false)))
                   AS is_same_place,
               CASE WHEN e.event_latitude BETWEEN (p_scope).latitude - p.lat_deg AND (p_scope).latitude + p.lat_deg
                     AND (abs(e.event_longitude - (p_scope).longitude) <= p.lng_deg
                          OR 360 - abs(e.event_longitude - (p_scope).longitude) <= p.lng_deg)
                    THEN public.haversine_distance_meters(
                        (p_scope).latitude, (p_scope).longitude, e.event_latitude, e.event_longitude) END AS distance_m
        FROM found f JOIN public.oms_outage_events e ON e.id = f.id CROSS JOIN place p
        WHERE e.status IN ('detected', 'confirmed', 'in_progress') AND e.event_type = p_event_type
          AND e.first_detected_at <= p_at + p_window
          AND p_at - p_window <= GREATEST(e.first_detected_at, (
              SELECT max(s.detected_at) FROM public.oms_event_sources s WHERE s.outage_event_id = e.id))
          -- The network is known: were it the report's outage, its device would stand above.
          AND NOT ((p_scope).device_no IS NOT NULL
                   AND EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = e.id))
    )
    SELECT c.id FROM candidate c
    WHERE c.is_same_place OR c.distance_m <= p_radius_m
    ORDER BY c.is_same_place DESC, c.distance_m NULLS LAST, c.first_detected_at, c.event_id LIMIT 1
$$;

-- How sure all its sources make an outage: each leaves half its weight less doubt. What a device said of
-- itself keeps its own confidence, and its reports are not counted twice.
CREATE FUNCTION oms_topology.correlated_confidence(p_outage_id uuid) RETURNS numeric
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT trunc(round(1 - base.doubt * COALESCE(exp(sum(ln(1 - LEAST(GREATEST(s.correlation_weight, 0), 1) / 2))), 1), 8), 2)
    FROM (SELECT CASE WHEN EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = p_outage_id)
                      THEN 1 - (SELECT t.confidence FROM oms_topology.source_setting t WHERE t.source = 'scada')
                      ELSE 1 END AS doubt) base
    LEFT JOIN public.oms_event_sources s ON s.outage_event_id = p_outage_id
        AND NOT (base.doubt < 1 AND s.source_type = 'scada')
    GROUP BY base.doubt
$$;

CREATE FUNCTION oms_topology.open_correlated_outage(
    p_event_type text, p_source_type text, p_scope oms_topology.correlation_scope, p_at timestamptz
) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.oms_outage_events
        (event_id, event_type, status, severity, confidence_score, affected_customers_count, event_latitude, event_longitude,
         substation_id, feeder_id, dp_id, first_detected_at, last_updated_at)
    SELECT 'OMS_' || floor(extract(epoch FROM p_at))::bigint || '_'
               || left(md5(p_event_type || ':' || p_source_type || ':' || (p_scope).source_event_id), 8),
           p_event_type, 'detected', 'medium', 0, 0,
           (p_scope).latitude, (p_scope).longitude, c.substation_id, c.feeder_id, c.dp_id, p_at, clock_timestamp()
    FROM (SELECT 1) one
    LEFT JOIN LATERAL oms_topology.contract_place((p_scope).device_no) c ON (p_scope).device_no IS NOT NULL
    RETURNING id
$$;

CREATE TABLE oms_topology.outage_reported_meter (
    outage_event_id uuid    NOT NULL,
    meter_no        integer NOT NULL,
    CONSTRAINT outage_reported_meter_pkey PRIMARY KEY (outage_event_id, meter_no),
    CONSTRAINT outage_reported_meter_outage_event_id_fkey FOREIGN KEY (outage_event_id)
        REFERENCES public.oms_outage_events (id) ON DELETE CASCADE
);
COMMENT ON TABLE oms_topology.outage_reported_meter IS
    'The meters that the sources of an outage name, for outages that reports alone support.';

-- What all its reports together say of an outage that blames no device: whom it affects, where it is, how grave.
CREATE FUNCTION oms_topology.sum_up_reports(p_outage_id uuid, p_meter_nos integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meter_nos integer[];
BEGIN
    UPDATE public.oms_outage_events e
    SET severity = CASE WHEN e.confidence_score >= 0.9 THEN 'critical' WHEN e.confidence_score >= 0.7 THEN 'high'
                        ELSE 'medium' END
    WHERE e.id = p_outage_id;
    INSERT INTO oms_topology.outage_reported_meter (outage_event_id, meter_no)
    SELECT p_outage_id, n FROM unnest(p_meter_nos) AS n ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    meter_nos := ARRAY(SELECT r.meter_no FROM oms_topology.outage_reported_meter r
                       WHERE r.outage_event_id = p_outage_id ORDER BY r.meter_no);
    UPDATE public.oms_outage_events e
    SET affected_customers_count = (
        SELECT count(DISTINCT m.customer_id) + count(*) FILTER (WHERE m.customer_id IS NULL)
        FROM public.oms_meters m WHERE m.meter_no = ANY (meter_nos))
    WHERE e.id = p_outage_id;
    UPDATE public.oms_outage_events e
    SET substation_id = c.substation_id, feeder_id = c.feeder_id, dp_id = c.dp_id
    FROM (SELECT oms_topology.common_device(meter_nos) AS device_no) d
    CROSS JOIN LATERAL oms_topology.contract_place(d.device_no) c
    WHERE e.id = p_outage_id AND d.device_no IS NOT NULL;
END $$;

-- Puts a source behind an outage: source row, timeline, confidence, and what the outage did not know yet.
CREATE FUNCTION oms_topology.join_outage(
    p_outage_id uuid, p_source_type text, p_scope oms_topology.correlation_scope, p_at timestamptz, p_is_new boolean
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.oms_event_sources
        (outage_event_id, source_type, source_event_id, source_table, correlation_weight, detected_at)
    VALUES (p_outage_id, p_source_type, p_scope.source_event_id, COALESCE(p_scope.source_table, 'source_events'),
            oms_topology.source_weight(p_source_type), p_at)
    ON CONFLICT (outage_event_id, source_type, source_event_id) DO NOTHING;
    UPDATE public.oms_outage_events e
    SET confidence_score = CASE WHEN EXISTS (SELECT FROM oms_topology.outage_inference i WHERE i.outage_event_id = e.id)
            THEN e.confidence_score ELSE GREATEST(e.confidence_score, oms_topology.correlated_confidence(e.id)) END,
        event_latitude = CASE WHEN e.event_longitude IS NULL THEN p_scope.latitude ELSE e.event_latitude END,
        event_longitude = CASE WHEN e.event_latitude IS NULL THEN p_scope.longitude ELSE e.event_longitude END,
        first_detected_at = CASE WHEN EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = e.id)
            THEN e.first_detected_at ELSE LEAST(e.first_detected_at, p_at) END,
        last_updated_at = clock_timestamp()
    WHERE e.id = p_outage_id;
    IF NOT EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = p_outage_id) THEN
        PERFORM oms_topology.sum_up_reports(p_outage_id, p_scope.meter_nos);
    END IF;
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
    SELECT e.id, CASE WHEN p_is_new THEN 'detected' ELSE 'updated' END, e.status,
           CASE WHEN p_is_new THEN 'First report.' ELSE 'Supported by a further report.' END, p_source_type, p_at,
           jsonb_build_object('source_event_id', p_scope.source_event_id)
    FROM public.oms_outage_events e WHERE e.id = p_outage_id;
END $$;

-- The outage that a source stands behind already.
CREATE FUNCTION oms_topology.outage_of_source(p_source_type text, p_scope oms_topology.correlation_scope) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE((p_scope).outage_event_id, (
        SELECT s.outage_event_id FROM public.oms_event_sources s
        WHERE s.source_type = p_source_type AND s.source_event_id = (p_scope).source_event_id
        ORDER BY s.created_at, s.outage_event_id LIMIT 1))
$$;

-- Notes once on an outage that supply was reported back; that alone neither closes nor opens anything.
CREATE FUNCTION oms_topology.note_restoration(
    p_outage_id uuid, p_source_type text, p_scope oms_topology.correlation_scope, p_at timestamptz
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
    SELECT e.id, 'restoration_reported', e.status, 'A source reports supply.', p_source_type, p_at,
           jsonb_build_object('source_event_id', (p_scope).source_event_id)
    FROM public.oms_outage_events e
    WHERE e.id = p_outage_id AND NOT EXISTS (
        SELECT FROM public.oms_event_timeline t
        WHERE t.outage_event_id = e.id AND t.event_type = 'restoration_reported' AND t.source = p_source_type
          AND t.metadata ->> 'source_event_id' = (p_scope).source_event_id)
$$;

-- Finds or opens the outage of a report; the caller holds the locks.
CREATE FUNCTION oms_topology.correlate(
    p_event_type text, p_source_type text, p_scope oms_topology.correlation_scope, p_at timestamptz,
    p_window interval, p_radius_m integer
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    outage_id uuid := oms_topology.outage_of_source(p_source_type, p_scope);
    is_new    boolean;
BEGIN
    IF p_event_type = 'restoration' OR p_scope.power_status = 'on' THEN
        outage_id := COALESCE(outage_id, oms_topology.device_outage_of(p_scope.device_no, p_at, p_window),
                              oms_topology.nearby_outage('outage', p_scope, p_at, p_window, p_radius_m));
        PERFORM oms_topology.note_restoration(outage_id, p_source_type, p_scope, p_at);
        RETURN outage_id;
    ELSIF outage_id IS NOT NULL OR p_scope.power_status = 'none' THEN
        RETURN outage_id;
    END IF;
    outage_id := COALESCE(
        CASE WHEN p_event_type = 'outage' THEN oms_topology.device_outage_of(p_scope.device_no, p_at, p_window) END,
        oms_topology.nearby_outage(p_event_type, p_scope, p_at, p_window, p_radius_m));
    is_new := outage_id IS NULL;
    IF is_new THEN
        outage_id := oms_topology.open_correlated_outage(p_event_type, p_source_type, p_scope, p_at);
    END IF;
    PERFORM oms_topology.join_outage(outage_id, p_source_type, p_scope, p_at, is_new);
    RETURN outage_id;
END $$;

CREATE FUNCTION oms_topology.correlate_request_error(
    p_event_type text, p_source_type text, p_source_event_id text, p_at timestamptz
) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN COALESCE(btrim(p_event_type), '') = '' OR length(p_event_type) > 50
            THEN oms_topology.finding('event_type', 'missing, or longer than 50 characters')
        WHEN COALESCE(p_source_type, '') NOT IN ('scada', 'onu', 'kaifa', 'call_center')
            THEN oms_topology.finding('source_type', 'not scada, onu, kaifa or call_center')
        WHEN COALESCE(btrim(p_source_event_id), '') = '' OR length(p_source_event_id) > 100
            THEN oms_topology.finding('source_event_id', 'missing, or longer than 100 characters')
        WHEN p_at IS NULL THEN oms_topology.finding('timestamp', 'missing')
        END
$$;

DROP FUNCTION IF EXISTS public.oms_correlate_events(
    character varying, character varying, character varying, timestamp with time zone, numeric, numeric, integer, integer);
CREATE FUNCTION public.oms_correlate_events(
    p_event_type character varying, p_source_type character varying, p_source_event_id character varying,
    p_timestamp timestamp with time zone, p_latitude numeric, p_longitude numeric,
    p_correlation_window_minutes integer DEFAULT 30, p_spatial_radius_meters integer DEFAULT 1000
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule    public.oms_correlation_rules := oms_topology.active_rule();
    minutes integer := LEAST(COALESCE(NULLIF(GREATEST(p_correlation_window_minutes, 0), 0), rule.correlation_window_minutes, 30), 1000000);
    meters  integer := LEAST(COALESCE(NULLIF(GREATEST(p_spatial_radius_meters, 0), 0), rule.spatial_radius_meters, 1000), 20000000);
    error   jsonb := oms_topology.correlate_request_error(p_event_type, p_source_type, p_source_event_id, p_timestamp);
    scope   oms_topology.correlation_scope;
BEGIN
    IF error IS NOT NULL THEN
        PERFORM oms_topology.keep_unusable(
            CASE WHEN error ->> 'field' = 'source_type' THEN 'system' ELSE p_source_type END, error,
            jsonb_build_object('event_type', p_event_type, 'source_type', p_source_type, 'source_event_id', p_source_event_id,
                               'timestamp', p_timestamp, 'latitude', p_latitude, 'longitude', p_longitude));
        RETURN NULL;
    END IF;
    PERFORM oms_topology.settle();
    scope := oms_topology.correlation_scope_of(p_source_type, p_source_event_id, p_latitude, p_longitude);
    PERFORM oms_topology.lock_correlation(p_source_type, scope, meters);
    -- An impossible time counts at receipt.
    RETURN oms_topology.correlate(
        p_event_type, p_source_type, scope,
        CASE WHEN p_timestamp BETWEEN '2000-01-01Z' AND now() + interval '5 minutes' THEN p_timestamp ELSE now() END,
        make_interval(mins => minutes), meters);
END $$;
