-- Outages of devices that report themselves. A device's dead interval is an outage unless the dead
-- intervals of the devices above it cover it wholly; then its reports support the upper outage.

CREATE FUNCTION oms_topology.outage_code(p_kind text, p_code text, p_started_at timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'OMS_SCADA_' || floor(extract(epoch FROM p_started_at))::bigint || '_'
           || left(md5(p_kind || ':' || p_code || ':' || (extract(epoch FROM p_started_at) * 1000000)::bigint), 8)
$$;

-- Which meters lose supply with a device at an instant, each with its customer: all below it, but for those
-- that an alternate supply holds then. What meters say of themselves later takes nothing from it.
CREATE FUNCTION oms_topology.meters_lost(p_device_no integer, p_at timestamptz)
RETURNS TABLE (meter_no integer, customer_id uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH below AS (
        SELECT m.meter_no, m.customer_id, m.has_alternates
        FROM oms_topology.device d
        JOIN public.oms_meters m
            ON m.segment_no = d.segment_no AND m.position_no BETWEEN d.position_no AND d.last_position_no
        WHERE d.device_no = p_device_no
        UNION
        SELECT m.meter_no, m.customer_id, m.has_alternates
        FROM oms_topology.device d
        JOIN oms_topology.alternate_supply a
            ON a.segment_no = d.segment_no AND a.position_no BETWEEN d.position_no AND d.last_position_no
        JOIN public.oms_meters m ON m.meter_no = a.meter_no
        WHERE d.device_no = p_device_no
    ), held AS (
        SELECT DISTINCT ON (h.meter_no) h.meter_no, h.devices_lost_at IS NULL AS is_held
        FROM oms_topology.power_history(
            (SELECT COALESCE(array_agg(meter_no), '{}') FROM below WHERE has_alternates), p_at) h
        WHERE h.at <= p_at ORDER BY h.meter_no, h.at DESC
    )
    SELECT b.meter_no, b.customer_id FROM below b LEFT JOIN held h ON h.meter_no = b.meter_no
    WHERE NOT COALESCE(h.is_held, false)
$$;

-- How many distinct customers that are; a meter without one counts as one.
CREATE FUNCTION oms_topology.customers_lost(p_device_no integer, p_at timestamptz) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (count(DISTINCT l.customer_id) + count(*) FILTER (WHERE l.customer_id IS NULL))::integer
    FROM oms_topology.meters_lost(p_device_no, p_at) l
$$;

CREATE FUNCTION oms_topology.note_outage(
    p_outage_id uuid, p_event_type text, p_status text, p_description text, p_at timestamptz, p_signal_no bigint
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
    VALUES (p_outage_id, p_event_type, p_status, p_description, 'scada', p_at, jsonb_build_object('signal_no', p_signal_no));
END $$;

CREATE FUNCTION oms_topology.support_outage(p_outage_id uuid, p_signal_no bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.oms_event_sources
        (outage_event_id, source_type, source_event_id, source_table, correlation_weight, detected_at)
    SELECT p_outage_id, s.source, s.record_id, 'scada_events', 1.0, s.occurred_at
    FROM oms_topology.signal s WHERE s.signal_no = p_signal_no
    ON CONFLICT (outage_event_id, source_type, source_event_id) DO NOTHING;
END $$;

-- What an outage says of itself, by the report that began it.
CREATE FUNCTION oms_topology.describe_outage(
    p_device oms_topology.device, p_customers integer, p_signal_no bigint,
    OUT severity text, OUT root_cause text, OUT description text, OUT latitude numeric, OUT longitude numeric)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT CASE WHEN lower(e.severity COLLATE "C") IN ('low', 'medium', 'high', 'critical')
                THEN lower(e.severity COLLATE "C") ELSE 'high' END,
           left('SCADA Event: ' || COALESCE(e.substation_id, 'N/A') || ' / ' || COALESCE(e.feeder_id, 'N/A'), 200),
           replace(p_device.kind, '_', ' ') || ' ' || p_device.code || ' de-energised; customers without supply: '
               || p_customers || '. ' || COALESCE(e.reason, 'No reason provided.'),
           e.latitude, e.longitude
    INTO severity, root_cause, description, latitude, longitude
    FROM oms_topology.signal s
    LEFT JOIN public.scada_events e ON e.id = s.record_id::uuid
    WHERE s.signal_no = p_signal_no;
END $$;

CREATE FUNCTION oms_topology.open_outage(
    p_device_no integer, p_started_at timestamptz, p_ended_at timestamptz, p_customers integer, p_signal_no bigint
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    device  oms_topology.device;
    place   record;
    details record;
    new_id  uuid := gen_random_uuid();
BEGIN
    SELECT * INTO STRICT device FROM oms_topology.device WHERE device_no = p_device_no;
    SELECT * INTO place FROM oms_topology.contract_place(p_device_no);
    SELECT * INTO details FROM oms_topology.describe_outage(device, p_customers, p_signal_no);
    INSERT INTO public.oms_outage_events
        (id, event_id, event_type, status, severity, confidence_score, affected_customers_count,
         actual_restoration_time, root_cause, description, event_latitude, event_longitude,
         substation_id, feeder_id, dp_id, first_detected_at, last_updated_at)
    VALUES
        (new_id, oms_topology.outage_code(device.kind, device.code, p_started_at),
         oms_topology.outage_event_type(p_device_no, p_started_at, p_ended_at),
         CASE WHEN p_ended_at IS NULL THEN 'detected' ELSE 'restored' END, details.severity,
         (SELECT confidence FROM oms_topology.source_setting WHERE source = 'scada'), p_customers, p_ended_at,
         details.root_cause, details.description, details.latitude, details.longitude,
         place.substation_id, place.feeder_id, place.dp_id, p_started_at, clock_timestamp());
    INSERT INTO oms_topology.outage_device (outage_event_id, device_no, started_at, ended_at)
    VALUES (new_id, p_device_no, p_started_at, p_ended_at);
    PERFORM oms_topology.note_outage(new_id, 'detected', 'detected', 'Reported by the device itself.', p_started_at, p_signal_no);
    IF p_ended_at IS NOT NULL THEN
        PERFORM oms_topology.note_outage(new_id, 'restored', 'restored', 'The device reports supply.', p_ended_at, p_signal_no);
    END IF;
    RETURN new_id;
END $$;

-- The contract's columns for a device: its own row, or the nearest of each kind above it.
CREATE FUNCTION oms_topology.contract_place(p_device_no integer, OUT substation_id uuid, OUT feeder_id uuid, OUT dp_id uuid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    at    oms_topology.device;
    steps integer := 0;
BEGIN
    SELECT * INTO at FROM oms_topology.device WHERE device_no = p_device_no;
    WHILE at.device_no IS NOT NULL AND steps <= COALESCE(at.depth, 0) + 10000 LOOP
        CASE at.kind
            WHEN 'substation' THEN substation_id := COALESCE(substation_id, at.record_id);
            WHEN 'feeder' THEN feeder_id := COALESCE(feeder_id, at.record_id);
            WHEN 'distribution_point' THEN dp_id := COALESCE(dp_id, at.record_id);
            ELSE NULL;
        END CASE;
        EXIT WHEN at.parent_no IS NULL;
        SELECT * INTO at FROM oms_topology.device WHERE device_no = at.parent_no;
        steps := steps + 1;
    END LOOP;
END $$;

-- A report that is the newest of its part of the tree: joins, opens or closes outages in one step.
CREATE FUNCTION oms_topology.track_outage(
    p_device oms_topology.device, p_is_dead boolean, p_at timestamptz, p_customers integer, p_signal_no bigint
) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    upper_id  uuid;
    own_id    uuid;
    surfacing record;
    touched   uuid[] := '{}';
BEGIN
    SELECT outage_event_id INTO own_id FROM oms_topology.outage_device
    WHERE device_no = p_device.device_no AND ended_at IS NULL;
    IF p_is_dead THEN
        SELECT o.outage_event_id INTO upper_id
        FROM oms_topology.device_state s
        JOIN oms_topology.outage_device o ON o.device_no = s.device_no AND o.ended_at IS NULL
        WHERE s.segment_no = p_device.segment_no AND s.device_no <> p_device.device_no
          AND p_device.position_no BETWEEN s.position_no AND s.last_position_no
        ORDER BY s.depth LIMIT 1;
        IF upper_id IS NULL AND own_id IS NULL THEN
            own_id := oms_topology.open_outage(p_device.device_no, p_at, NULL, p_customers, p_signal_no);
            PERFORM oms_topology.support_outage(own_id, p_signal_no);
            RETURN ARRAY[own_id];
        END IF;
        touched := array_remove(ARRAY[own_id, upper_id], NULL);
        PERFORM oms_topology.support_outage(t, p_signal_no),
                oms_topology.note_outage(e.id, 'updated', e.status, 'Supported by a further report.', p_at, p_signal_no)
        FROM unnest(touched) t JOIN public.oms_outage_events e ON e.id = t;
        UPDATE public.oms_outage_events SET last_updated_at = clock_timestamp() WHERE id = ANY (touched);
        RETURN touched;
    END IF;

    IF own_id IS NOT NULL THEN
        UPDATE public.oms_outage_events
        SET status = oms_topology.outage_status(own_id, 'restored'), actual_restoration_time = p_at,
            event_type = oms_topology.outage_event_type(p_device.device_no, first_detected_at, p_at),
            last_updated_at = clock_timestamp()
        WHERE id = own_id;
        UPDATE oms_topology.outage_device SET ended_at = p_at WHERE outage_event_id = own_id;
        PERFORM oms_topology.note_outage(own_id, 'restored', 'restored', 'The device reports supply.', p_at, p_signal_no);
        touched := ARRAY[own_id];
    END IF;
    -- What the upper outage covered and is still dead stands for itself now.
    FOR surfacing IN
        SELECT s.device_no, s.since,
               (SELECT r.signal_no FROM oms_topology.device_reports(ARRAY[s.device_no], s.since) r
                WHERE r.at = s.since) AS signal_no
        FROM oms_topology.device_state s
        WHERE s.segment_no = p_device.segment_no AND s.is_dead AND s.device_no <> p_device.device_no
          AND s.position_no BETWEEN p_device.position_no AND p_device.last_position_no
          AND NOT EXISTS (SELECT FROM oms_topology.outage_device o
                          WHERE o.device_no = s.device_no AND o.ended_at IS NULL)
          AND NOT EXISTS (SELECT FROM oms_topology.device_state u
                          WHERE u.segment_no = s.segment_no AND u.is_dead AND u.device_no <> s.device_no
                            AND s.position_no BETWEEN u.position_no AND u.last_position_no)
        ORDER BY s.depth, s.device_no
    LOOP
        own_id := oms_topology.open_outage(surfacing.device_no, surfacing.since, NULL,
            oms_topology.customers_lost(surfacing.device_no, surfacing.since), surfacing.signal_no);
        PERFORM oms_topology.support_outage(own_id, r.signal_no)
        FROM oms_topology.device_reports(ARRAY[surfacing.device_no], surfacing.since) r
        WHERE r.is_dead AND r.at >= surfacing.since;
        UPDATE public.scada_events e SET outage_event_id = own_id
        FROM oms_topology.device_reports(ARRAY[surfacing.device_no], surfacing.since) r
        JOIN oms_topology.signal g ON g.signal_no = r.signal_no
        WHERE r.is_dead AND r.at >= surfacing.since AND e.id = g.record_id::uuid;
        touched := touched || own_id;
    END LOOP;
    RETURN touched;
END $$;

-- The outages that all reports of the devices above and below a device support, by their whole history.
CREATE FUNCTION oms_topology.supported_outages(p_device oms_topology.device)
RETURNS TABLE (device_no integer, depth integer, position_no integer, last_position_no integer,
               started_at timestamptz, ended_at timestamptz, signal_no bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH scope AS (
        SELECT s.device_no, s.depth, s.position_no, s.last_position_no
        FROM oms_topology.device_state s
        WHERE s.segment_no = p_device.segment_no
          AND (p_device.position_no BETWEEN s.position_no AND s.last_position_no
               OR s.position_no BETWEEN p_device.position_no AND p_device.last_position_no)
    ), said AS (
        SELECT r.device_no, r.at, r.is_dead, r.signal_no
        FROM oms_topology.device_reports((SELECT COALESCE(array_agg(s.device_no), '{}') FROM scope s), '-infinity') r
        UNION ALL  -- what people ended is over, until the device says otherwise
        SELECT x.device_no, x.at, false, NULL
        FROM oms_topology.outage_decision x JOIN scope s ON s.device_no = x.device_no
        WHERE x.action IN ('restore', 'cancel')
    ), report AS (
        SELECT r.*, lag(r.is_dead) OVER (PARTITION BY r.device_no ORDER BY r.at) AS was_dead
        FROM (SELECT DISTINCT ON (s.device_no, s.at) s.* FROM said s ORDER BY s.device_no, s.at, s.signal_no NULLS LAST) r
    ), turn AS (
        SELECT r.device_no, r.is_dead, r.at, r.signal_no,
               lead(r.at) OVER (PARTITION BY r.device_no ORDER BY r.at) AS until
        FROM report r WHERE r.is_dead IS DISTINCT FROM r.was_dead
    ), dead AS (
        SELECT s.device_no, s.depth, s.position_no, s.last_position_no, t.at AS started_at, t.until AS ended_at, t.signal_no
        FROM turn t JOIN scope s ON s.device_no = t.device_no WHERE t.is_dead
    )
    SELECT d.* FROM dead d
    WHERE EXISTS (  -- some instant of it that no dead device above covers: its start, or where a cover ends
        SELECT FROM (
            SELECT d.started_at AS instant
            UNION ALL
            SELECT u.ended_at FROM dead u
            WHERE u.device_no <> d.device_no AND d.position_no BETWEEN u.position_no AND u.last_position_no
              AND u.ended_at >= d.started_at AND u.ended_at < COALESCE(d.ended_at, 'infinity')) i
        WHERE NOT EXISTS (
            SELECT FROM dead u
            WHERE u.device_no <> d.device_no AND d.position_no BETWEEN u.position_no AND u.last_position_no
              AND u.started_at <= i.instant AND COALESCE(u.ended_at, 'infinity') > i.instant))
$$;

-- The supported outages around a device, each with the standing one that it continues: of those that
-- overlap it the earliest, where no earlier supported one overlaps that too; NULL for none.
CREATE FUNCTION oms_topology.continued_outages(p_device oms_topology.device)
RETURNS TABLE (device_no integer, depth integer, started_at timestamptz, ended_at timestamptz, signal_no bigint,
               outage_event_id uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS MATERIALIZED (
        SELECT * FROM oms_topology.supported_outages(p_device)
    ), claimed AS (
        SELECT DISTINCT ON (o.outage_event_id) o.outage_event_id, o.started_at AS stood_from, w.device_no, w.started_at
        FROM oms_topology.outage_device o
        JOIN wanted w ON w.device_no = o.device_no
            AND (tstzrange(o.started_at, o.ended_at) && tstzrange(w.started_at, w.ended_at) OR o.started_at = w.started_at)
        ORDER BY o.outage_event_id, w.started_at
    ), continued AS (
        SELECT DISTINCT ON (c.device_no, c.started_at) c.* FROM claimed c
        ORDER BY c.device_no, c.started_at, c.stood_from
    )
    SELECT w.device_no, w.depth, w.started_at, w.ended_at, w.signal_no, c.outage_event_id
    FROM wanted w LEFT JOIN continued c ON c.device_no = w.device_no AND c.started_at = w.started_at
$$;

-- A report that came late: the outages around its device are revised to what all reports support.
-- What is no longer supported is withdrawn, with its history, to outage_revision.
CREATE FUNCTION oms_topology.revise_outages(p_device oms_topology.device, p_signal_no bigint) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted  record;
    gone    oms_topology.outage_device[];
    gone_id uuid[];
    touched uuid[] := '{}';
BEGIN
    SELECT array_agg(o), array_agg(o.outage_event_id) INTO gone, gone_id
    FROM oms_topology.outage_device o
    JOIN oms_topology.device d ON d.device_no = o.device_no
    WHERE d.segment_no = p_device.segment_no AND o.origin = 'device'
      AND (p_device.position_no BETWEEN d.position_no AND d.last_position_no
           OR d.position_no BETWEEN p_device.position_no AND p_device.last_position_no)
      AND NOT EXISTS (SELECT FROM oms_topology.continued_outages(p_device) c
                      WHERE c.outage_event_id = o.outage_event_id);
    -- A device may have one open outage only: what goes is closed first, and what ends before what opens.
    UPDATE oms_topology.outage_device SET ended_at = started_at WHERE outage_event_id = ANY (gone_id) AND ended_at IS NULL;
    FOR wanted IN
        SELECT * FROM oms_topology.continued_outages(p_device) c ORDER BY c.ended_at NULLS LAST, c.depth, c.device_no
    LOOP
        IF wanted.outage_event_id IS NULL THEN
            touched := touched || oms_topology.open_outage(
                wanted.device_no, wanted.started_at, wanted.ended_at,
                oms_topology.customers_lost(wanted.device_no, wanted.started_at), wanted.signal_no);
        ELSIF oms_topology.revise_outage(wanted.outage_event_id, wanted.started_at, wanted.ended_at,
                                         wanted.signal_no, p_signal_no) THEN
            touched := touched || wanted.outage_event_id;
        END IF;
    END LOOP;
    PERFORM oms_topology.withdraw_outage(g.outage_event_id, oms_topology.covering_outage(g, gone_id),
                                         'A late report shows it as part of another outage, or as none.')
    FROM unnest(gone) g;
    PERFORM oms_topology.resupport_outages(p_device);
    RETURN touched;
END $$;

-- Moves an outage to another start or end; tells whether there was anything to move.
CREATE FUNCTION oms_topology.revise_outage(
    p_outage_id uuid, p_started_at timestamptz, p_ended_at timestamptz, p_first_no bigint, p_signal_no bigint
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    device      oms_topology.device;
    lost        integer;
    details     record;
    standing    public.oms_outage_events;
    next_status text;
    next_type   text;
    restored_at timestamptz;
BEGIN
    SELECT d.* INTO STRICT device
    FROM oms_topology.outage_device o JOIN oms_topology.device d ON d.device_no = o.device_no
    WHERE o.outage_event_id = p_outage_id;
    SELECT * INTO STRICT standing FROM public.oms_outage_events WHERE id = p_outage_id;
    lost := oms_topology.customers_lost(device.device_no, p_started_at);
    SELECT * INTO details FROM oms_topology.describe_outage(device, lost, p_first_no);
    -- A device cannot tell that all meters are back: what is cleared stays so while it is over.
    next_status := oms_topology.outage_status(p_outage_id, CASE WHEN p_ended_at IS NULL THEN 'detected'
        WHEN standing.status = 'cleared' THEN 'cleared' ELSE 'restored' END);
    next_type := oms_topology.outage_event_type(device.device_no, p_started_at, p_ended_at);
    restored_at := CASE WHEN next_status = 'cancelled' THEN standing.actual_restoration_time ELSE p_ended_at END;
    UPDATE public.oms_outage_events e
    SET event_id = oms_topology.outage_code(device.kind, device.code, p_started_at), event_type = next_type,
        first_detected_at = p_started_at, actual_restoration_time = restored_at, status = next_status,
        affected_customers_count = lost, severity = details.severity, root_cause = details.root_cause,
        description = details.description, event_latitude = details.latitude, event_longitude = details.longitude,
        last_updated_at = clock_timestamp()
    WHERE e.id = p_outage_id
      AND ((e.event_type, e.status, e.first_detected_at, e.actual_restoration_time, e.affected_customers_count, e.severity,
            e.root_cause, e.description, e.event_latitude, e.event_longitude)
           IS DISTINCT FROM (next_type, next_status, p_started_at, restored_at, lost, details.severity,
                             details.root_cause, details.description, details.latitude::numeric(10,8), details.longitude::numeric(11,8))
           OR EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = e.id
                      AND (o.started_at, o.ended_at) IS DISTINCT FROM (p_started_at, p_ended_at)));
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE oms_topology.outage_device SET started_at = p_started_at, ended_at = p_ended_at
    WHERE outage_event_id = p_outage_id;
    PERFORM oms_topology.note_outage(p_outage_id, 'revised', next_status,
        'A late report changed its start, end or extent.', COALESCE(p_ended_at, p_started_at), p_signal_no);
    RETURN true;
END $$;

-- Counts anew the outages that begin at p_from or later above meters with alternate supplies, after what
-- is known of another supply of theirs has changed.
CREATE FUNCTION oms_topology.recount_outages(p_meter_nos integer[], p_from timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH place AS (
        SELECT m.segment_no, m.position_no FROM public.oms_meters m
        WHERE m.meter_no = ANY (p_meter_nos) AND m.has_alternates
        UNION
        SELECT a.segment_no, a.position_no FROM oms_topology.alternate_supply a WHERE a.meter_no = ANY (p_meter_nos)
    ), concerned AS (
        SELECT DISTINCT o.outage_event_id, s.device_no, o.started_at
        FROM place p
        JOIN oms_topology.device_state s
            ON s.segment_no = p.segment_no AND p.position_no BETWEEN s.position_no AND s.last_position_no
        JOIN oms_topology.outage_device o ON o.device_no = s.device_no AND o.started_at >= p_from
    ), counted AS MATERIALIZED (
        SELECT c.outage_event_id, oms_topology.customers_lost(c.device_no, c.started_at) AS lost FROM concerned c
    )
    UPDATE public.oms_outage_events e
    SET affected_customers_count = c.lost,
        description = replace(e.description, 'customers without supply: ' || e.affected_customers_count || '. ',
                              'customers without supply: ' || c.lost || '. '),
        last_updated_at = clock_timestamp()
    FROM counted c WHERE e.id = c.outage_event_id AND e.affected_customers_count <> c.lost
$$;

-- The outage that a report is about: one of its own device that it is part of or ends, else the uppermost
-- that holds it.
CREATE FUNCTION oms_topology.outage_of_report(p_device oms_topology.device, p_is_dead boolean, p_at timestamptz) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.outage_event_id
    FROM oms_topology.device_state s
    JOIN oms_topology.outage_device o ON o.device_no = s.device_no
    WHERE s.segment_no = p_device.segment_no AND p_device.position_no BETWEEN s.position_no AND s.last_position_no
      AND CASE WHEN p_is_dead THEN o.started_at <= p_at AND COALESCE(o.ended_at, 'infinity') > p_at
               ELSE s.device_no = p_device.device_no AND o.ended_at = p_at END
    ORDER BY s.device_no = p_device.device_no DESC, s.depth LIMIT 1
$$;

CREATE FUNCTION oms_topology.covering_outage(p_outage oms_topology.outage_device, p_gone_ids uuid[]) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.outage_event_id
    FROM oms_topology.device d
    JOIN oms_topology.device u ON u.segment_no = d.segment_no
        AND d.position_no BETWEEN u.position_no AND u.last_position_no
    JOIN oms_topology.outage_device o ON o.device_no = u.device_no
    WHERE d.device_no = p_outage.device_no AND o.outage_event_id <> ALL (p_gone_ids)
      AND tstzrange(o.started_at, o.ended_at) && tstzrange(p_outage.started_at, p_outage.ended_at)
    ORDER BY u.depth, o.started_at LIMIT 1
$$;

CREATE FUNCTION oms_topology.withdraw_outage(p_outage_id uuid, p_superseded_by uuid, p_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_superseded_by IS NULL AND oms_topology.keep_for_people(p_outage_id) THEN
        RETURN;
    END IF;
    INSERT INTO oms_topology.outage_revision (outage_event_id, superseded_by, reason, outage, sources, timeline)
    SELECT e.id, p_superseded_by, p_reason, to_jsonb(e),
           COALESCE((SELECT jsonb_agg(to_jsonb(s) ORDER BY s.detected_at, s.id)
                     FROM public.oms_event_sources s WHERE s.outage_event_id = e.id), '[]'),
           COALESCE((SELECT jsonb_agg(to_jsonb(t) ORDER BY t."timestamp", t.id)
                     FROM public.oms_event_timeline t WHERE t.outage_event_id = e.id), '[]')
    FROM public.oms_outage_events e WHERE e.id = p_outage_id;
    UPDATE public.scada_events SET outage_event_id = p_superseded_by WHERE outage_event_id = p_outage_id;
    -- Who was sent out or told is not forgotten with the hypothesis.
    UPDATE public.oms_crew_assignments SET outage_event_id = p_superseded_by
    WHERE outage_event_id = p_outage_id AND p_superseded_by IS NOT NULL;
    PERFORM oms_topology.inherit_notifications(p_outage_id, p_superseded_by);
    DELETE FROM public.oms_outage_events WHERE id = p_outage_id;
    PERFORM oms_topology.inherit_decisions(p_outage_id, p_superseded_by);
END $$;

-- Which reports support which outage: each one the uppermost outage that holds it, and its own device's.
CREATE FUNCTION oms_topology.resupport_outages(p_device oms_topology.device) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.scada_events e SET outage_event_id = l.outage_event_id
    FROM (SELECT g.record_id::uuid AS id, oms_topology.outage_of_report(d, r.is_dead, r.at) AS outage_event_id
          FROM oms_topology.device_state s
          JOIN oms_topology.device d ON d.device_no = s.device_no
          CROSS JOIN LATERAL oms_topology.device_reports(ARRAY[s.device_no], '-infinity') r
          JOIN oms_topology.signal g ON g.signal_no = r.signal_no
          WHERE s.segment_no = p_device.segment_no
            AND (p_device.position_no BETWEEN s.position_no AND s.last_position_no
                 OR s.position_no BETWEEN p_device.position_no AND p_device.last_position_no)) l
    WHERE e.id = l.id AND e.outage_event_id IS DISTINCT FROM l.outage_event_id;

    WITH scope AS (
        SELECT d.device_no, d.segment_no, d.position_no
        FROM oms_topology.device_state s JOIN oms_topology.device d ON d.device_no = s.device_no
        WHERE s.segment_no = p_device.segment_no
          AND (p_device.position_no BETWEEN s.position_no AND s.last_position_no
               OR s.position_no BETWEEN p_device.position_no AND p_device.last_position_no)
    ), report AS (
        SELECT r.* FROM oms_topology.device_reports((SELECT COALESCE(array_agg(s.device_no), '{}') FROM scope s), '-infinity') r
        WHERE r.is_dead
    ), held AS (
        SELECT r.signal_no, r.at, o.outage_event_id, o.device_no = r.device_no AS is_own,
               row_number() OVER (PARTITION BY r.signal_no ORDER BY u.depth, o.started_at) AS from_source
        FROM report r
        JOIN scope d ON d.device_no = r.device_no
        JOIN oms_topology.device u ON u.segment_no = d.segment_no
            AND d.position_no BETWEEN u.position_no AND u.last_position_no
        JOIN oms_topology.outage_device o ON o.device_no = u.device_no
            AND o.started_at <= r.at AND COALESCE(o.ended_at, 'infinity') > r.at
    ), wanted AS (
        SELECT h.outage_event_id, s.source, s.record_id, s.occurred_at
        FROM held h JOIN oms_topology.signal s ON s.signal_no = h.signal_no
        WHERE h.from_source = 1 OR h.is_own
    ), removed AS (
        DELETE FROM public.oms_event_sources e
        USING oms_topology.signal g, scope d  -- what devices beside these said stays
        WHERE g.record_id = e.source_event_id AND g.source = 'scada' AND d.device_no = g.device_no
          AND e.source_type = 'scada'
          AND NOT EXISTS (SELECT FROM wanted w WHERE w.outage_event_id = e.outage_event_id
                                                AND w.record_id = e.source_event_id)
    )
    INSERT INTO public.oms_event_sources
        (outage_event_id, source_type, source_event_id, source_table, correlation_weight, detected_at)
    SELECT w.outage_event_id, w.source, w.record_id, 'scada_events', 1.0, w.occurred_at FROM wanted w
    ON CONFLICT (outage_event_id, source_type, source_event_id) DO NOTHING
$$;
