-- How what inference concludes about a supply tree becomes rows: inserted, revised in place, or withdrawn with their
-- history. The rows of a device that reports itself are the same ones that 76_outages.sql writes.

CREATE TYPE oms_topology.wanted_outage AS (
    place integer, device_no integer, meter_no integer, kind text, code text, started_at timestamptz, ended_at timestamptz,
    verified_at timestamptz, is_own_report boolean, posterior double precision, dead_posterior double precision,
    customers integer, severity text, root_cause text, description text, area jsonb, latitude numeric, longitude numeric,
    supports jsonb, alternatives jsonb, reasons jsonb, still_dark text[], steps jsonb,
    surfaced_kind text, surfaced_code text, surfaced_at timestamptz
);

-- The wanted outages, with the numbers of what they blame. Of a device that reported itself stands what it said.
CREATE FUNCTION oms_topology.wanted_outages(p_wanted jsonb) RETURNS SETOF oms_topology.wanted_outage
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT w.place, d.device_no, m.meter_no, w.kind, w.code, w.started_at, w.ended_at, w.verified_at,
           g.signal_no IS NOT NULL, w.posterior, w.dead_posterior,
           COALESCE(own.customers, w.customers), COALESCE(said.severity, w.severity),
           COALESCE(said.root_cause, left(w.root_cause, 200)), COALESCE(said.description, w.description), w.area,
           COALESCE(said.latitude, w.latitude)::numeric(10,8), COALESCE(said.longitude, w.longitude)::numeric(11,8),
           w.supports, w.alternatives, w.reasons, w.still_dark, w.steps, w.surfaced_kind, w.surfaced_code, w.surfaced_at
    FROM jsonb_to_recordset(p_wanted) AS w (
        place integer, kind text, code text, started_at timestamptz, ended_at timestamptz, verified_at timestamptz,
        own_record_id text, posterior double precision, dead_posterior double precision, customers integer, severity text,
        root_cause text, description text, area jsonb, latitude numeric, longitude numeric, supports jsonb,
        alternatives jsonb, reasons jsonb, still_dark text[], steps jsonb,
        surfaced_kind text, surfaced_code text, surfaced_at timestamptz)
    LEFT JOIN oms_topology.device d ON d.kind = w.kind AND d.code = w.code
    LEFT JOIN public.oms_meters m ON w.kind = 'meter' AND m.meter_number = w.code
    LEFT JOIN oms_topology.signal g ON g.record_id = w.own_record_id AND g.source = 'scada' AND d.device_no IS NOT NULL
    CROSS JOIN LATERAL (SELECT CASE WHEN g.signal_no IS NOT NULL
        THEN oms_topology.customers_lost(d.device_no, w.started_at) END AS customers OFFSET 0) own
    LEFT JOIN LATERAL (SELECT o.* FROM (SELECT WHERE g.signal_no IS NOT NULL OFFSET 0) x
                       CROSS JOIN LATERAL oms_topology.describe_outage(d, own.customers, g.signal_no) o) said ON true
    WHERE d.device_no IS NOT NULL OR m.meter_no IS NOT NULL;
END $$;

-- Which standing outage each wanted one continues: of the same device or meter, the one of the same start first, then
-- the earliest that it overlaps; else one that oms_correlate_events opened by place for the same reports.
CREATE FUNCTION oms_topology.continued_conclusions(
    p_wanted oms_topology.wanted_outage[], p_segment_nos integer[], p_since timestamptz
) RETURNS TABLE (place integer, outage_event_id uuid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH pair AS (
        SELECT w.place, o.outage_event_id, w.started_at, o.started_at AS stood_from, o.started_at = w.started_at AS is_same
        FROM unnest(p_wanted) w
        JOIN oms_topology.segment_outages(p_segment_nos, p_since) o
            ON (o.device_no = w.device_no OR o.meter_no = w.meter_no)
            AND o.started_at <= COALESCE(w.ended_at, 'infinity') AND w.started_at <= COALESCE(o.ended_at, 'infinity')
    ), claimed AS (
        SELECT DISTINCT ON (p.outage_event_id) p.* FROM pair p
        ORDER BY p.outage_event_id, p.is_same DESC, p.started_at, p.place
    ), continued AS (
        SELECT DISTINCT ON (c.place) c.place, c.outage_event_id FROM claimed c
        ORDER BY c.place, c.is_same DESC, c.stood_from, c.outage_event_id
    )
    SELECT c.place, c.outage_event_id FROM continued c
    UNION ALL
    (SELECT DISTINCT ON (a.place) a.place, a.id FROM (
        SELECT DISTINCT ON (e.id) w.place, e.id, e.first_detected_at
        FROM unnest(p_wanted) w
        CROSS JOIN LATERAL jsonb_to_recordset(w.supports) AS s (source_type text, id text)
        JOIN public.oms_event_sources x ON x.source_type = s.source_type AND x.source_event_id = s.id
        JOIN public.oms_outage_events e ON e.id = x.outage_event_id AND e.event_type = 'outage' AND e.status <> 'cancelled'
        WHERE NOT EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = e.id)
        ORDER BY e.id, w.started_at, w.place) a
    WHERE a.place NOT IN (SELECT c.place FROM continued c)
    ORDER BY a.place, a.first_detected_at, a.id);
END $$;

-- What the columns of an outage say of a wanted one.
CREATE FUNCTION oms_topology.status_by_evidence(p_wanted oms_topology.wanted_outage) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN (p_wanted).ended_at IS NULL THEN 'detected'
                WHEN (p_wanted).verified_at IS NULL THEN 'restored' ELSE 'cleared' END
$$;

CREATE FUNCTION oms_topology.note_conclusion(
    p_outage_id uuid, p_event_type text, p_status text, p_description text, p_at timestamptz, p_posterior double precision
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
    VALUES (p_outage_id, p_event_type, p_status, p_description, 'inference', p_at, jsonb_build_object('posterior', p_posterior))
$$;

CREATE FUNCTION oms_topology.open_conclusion(p_wanted oms_topology.wanted_outage) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    new_id uuid := gen_random_uuid();
BEGIN
    INSERT INTO public.oms_outage_events
        (id, event_id, event_type, status, severity, confidence_score, first_detected_at, last_updated_at)
    VALUES (new_id, oms_topology.outage_code(p_wanted.kind, p_wanted.code, p_wanted.started_at), 'outage', 'detected',
            p_wanted.severity, 0, p_wanted.started_at, clock_timestamp());
    PERFORM oms_topology.note_conclusion(new_id, 'detected', 'detected', array_to_string(ARRAY(
        SELECT jsonb_array_elements_text(p_wanted.reasons)), ' '), p_wanted.started_at, p_wanted.posterior);
    RETURN new_id;
END $$;

-- What is to change of an outage, in words; NULL for nothing that an operator would want to read.
CREATE FUNCTION oms_topology.told_change(p_before public.oms_outage_events, p_after public.oms_outage_events) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NULLIF(concat_ws(' ',
        CASE WHEN p_before.first_detected_at <> p_after.first_detected_at
             THEN 'Began at ' || oms_topology.iso_time(p_after.first_detected_at) || ', not at '
                  || oms_topology.iso_time(p_before.first_detected_at) || '.' END,
        CASE WHEN p_after.actual_restoration_time IS NULL AND p_before.actual_restoration_time IS NOT NULL
             THEN 'It is not over.'
             WHEN p_before.actual_restoration_time IS DISTINCT FROM p_after.actual_restoration_time
             THEN 'Supply was back at ' || oms_topology.iso_time(p_after.actual_restoration_time) || '.' END,
        CASE WHEN p_before.status IS DISTINCT FROM p_after.status AND p_after.status = 'cleared'
             THEN 'The meters verify it.' END,
        CASE WHEN p_before.affected_customers_count IS DISTINCT FROM p_after.affected_customers_count
             THEN 'Customers: ' || p_after.affected_customers_count || ', not '
                  || COALESCE(p_before.affected_customers_count, 0) || '.' END,
        CASE WHEN p_before.event_type IS DISTINCT FROM p_after.event_type
             THEN 'It is now: ' || replace(p_after.event_type, '_', ' ') || '.' END,
        CASE WHEN p_before.confidence_score IS DISTINCT FROM p_after.confidence_score
             THEN 'Probability: ' || p_after.confidence_score || ', not ' || COALESCE(p_before.confidence_score, 0) || '.' END), '')
$$;

-- Whether a device is still dead although what it was switched off with is back: a fault that the plan hid. The planned
-- device itself only takes longer.
CREATE FUNCTION oms_topology.has_outlasted_plan(p_wanted oms_topology.wanted_outage, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN NOT p_wanted.is_own_report AND COALESCE((
        SELECT bool_and(p.device_no <> p_wanted.device_no AND p.ends_at < COALESCE(p_wanted.ended_at, p_at))
        FROM oms_topology.planned_interval p
        WHERE p.starts_at <= p_wanted.started_at AND p_wanted.started_at < p.ends_at
          AND p.device_no IN (SELECT a.device_no FROM oms_topology.devices_above(p_wanted.device_no) a)), false);
END $$;

-- Makes an outage what is wanted; tells whether anything changed.
CREATE FUNCTION oms_topology.revise_conclusion(
    p_outage_id uuid, p_wanted oms_topology.wanted_outage, p_is_new boolean, p_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before  public.oms_outage_events;
    after   public.oms_outage_events;
    place   record;
    told    text;
BEGIN
    INSERT INTO oms_topology.outage_device AS o (outage_event_id, device_no, meter_no, started_at, ended_at, origin)
    VALUES (p_outage_id, p_wanted.device_no, p_wanted.meter_no, p_wanted.started_at, p_wanted.ended_at,
            CASE WHEN p_wanted.is_own_report THEN 'device' ELSE 'inference' END)
    ON CONFLICT (outage_event_id) DO UPDATE
    SET started_at = excluded.started_at, ended_at = excluded.ended_at, origin = excluded.origin
    WHERE (o.started_at, o.ended_at, o.origin) IS DISTINCT FROM (excluded.started_at, excluded.ended_at, excluded.origin);
    SELECT * INTO STRICT before FROM public.oms_outage_events WHERE id = p_outage_id;
    SELECT * INTO place FROM oms_topology.contract_place(COALESCE(
        p_wanted.device_no, (SELECT m.device_no FROM public.oms_meters m WHERE m.meter_no = p_wanted.meter_no)));
    after := before;
    after.event_id := oms_topology.outage_code(p_wanted.kind, p_wanted.code, p_wanted.started_at);
    after.status := oms_topology.outage_status(p_outage_id, oms_topology.status_by_evidence(p_wanted));
    after.event_type := CASE
        WHEN p_wanted.device_no IS NULL OR oms_topology.has_outlasted_plan(p_wanted, p_at)
            THEN oms_topology.event_type_of(p_wanted.started_at, p_wanted.ended_at)
        ELSE oms_topology.outage_event_type(p_wanted.device_no, p_wanted.started_at, p_wanted.ended_at) END;
    after.severity := p_wanted.severity;
    after.confidence_score := trunc(p_wanted.posterior::numeric, 2);
    after.affected_customers_count := p_wanted.customers;
    IF after.status <> 'cancelled' THEN
        after.actual_restoration_time := p_wanted.ended_at;
    END IF;
    after.root_cause := p_wanted.root_cause;
    after.description := p_wanted.description;
    after.affected_area_geojson := p_wanted.area;
    after.event_latitude := p_wanted.latitude;
    after.event_longitude := p_wanted.longitude;
    after.substation_id := place.substation_id;
    after.feeder_id := place.feeder_id;
    after.dp_id := place.dp_id;
    after.first_detected_at := p_wanted.started_at;
    IF after IS NOT DISTINCT FROM before THEN
        RETURN false;
    END IF;
    UPDATE public.oms_outage_events
    SET event_id = after.event_id, status = after.status, event_type = after.event_type, severity = after.severity,
        confidence_score = after.confidence_score, affected_customers_count = after.affected_customers_count,
        actual_restoration_time = after.actual_restoration_time, root_cause = after.root_cause,
        description = after.description, affected_area_geojson = after.affected_area_geojson,
        event_latitude = after.event_latitude, event_longitude = after.event_longitude,
        substation_id = after.substation_id, feeder_id = after.feeder_id, dp_id = after.dp_id,
        first_detected_at = after.first_detected_at, last_updated_at = clock_timestamp()
    WHERE id = p_outage_id;
    IF p_is_new THEN
        before.affected_customers_count := after.affected_customers_count;
        before.confidence_score := after.confidence_score;
    END IF;
    told := oms_topology.told_change(before, after);
    IF told IS NOT NULL THEN
        PERFORM oms_topology.note_conclusion(
            p_outage_id, CASE WHEN before.status IS DISTINCT FROM after.status AND after.status IN ('restored', 'cleared')
                              THEN after.status ELSE 'revised' END,
            after.status, told, CASE WHEN p_is_new THEN COALESCE(p_wanted.ended_at, p_at) ELSE p_at END, p_wanted.posterior);
    END IF;
    RETURN true;
END $$;

-- What inference says beside the row.
CREATE FUNCTION oms_topology.keep_inference(p_outage_id uuid, p_wanted oms_topology.wanted_outage) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oms_topology.outage_inference AS i
        (outage_event_id, posterior, dead_posterior, alternatives, reasons, still_dark_meters, restoration_steps, surfaced_from)
    SELECT p_outage_id, p_wanted.posterior, p_wanted.dead_posterior, p_wanted.alternatives, p_wanted.reasons,
           p_wanted.still_dark, p_wanted.steps,
           (SELECT e.id FROM public.oms_outage_events e
            WHERE e.event_id = oms_topology.outage_code(p_wanted.surfaced_kind, p_wanted.surfaced_code, p_wanted.surfaced_at))
    ON CONFLICT (outage_event_id) DO UPDATE
    SET posterior = excluded.posterior, dead_posterior = excluded.dead_posterior, alternatives = excluded.alternatives,
        reasons = excluded.reasons, still_dark_meters = excluded.still_dark_meters,
        restoration_steps = excluded.restoration_steps, surfaced_from = excluded.surfaced_from
    WHERE i IS DISTINCT FROM excluded;
END $$;

-- Makes the sources of outages those that are wanted; what is not among the known reports stays as it is.
CREATE FUNCTION oms_topology.support_conclusions(
    p_outage_ids uuid[], p_wanted oms_topology.wanted_outage[], p_known jsonb
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH wanted AS MATERIALIZED (
        SELECT u.id AS outage_event_id, s.source_type, s.id, s.source_table, s.weight, s.at
        FROM unnest(p_outage_ids) WITH ORDINALITY AS u (id, at)
        JOIN unnest(p_wanted) WITH ORDINALITY AS w ON w.ordinality = u.at
        CROSS JOIN LATERAL jsonb_to_recordset(w.supports) AS s (
            source_type text, id text, source_table text, weight numeric(5,2), at timestamptz)
    ), removed AS (
        DELETE FROM public.oms_event_sources e
        WHERE e.outage_event_id = ANY (p_outage_ids)
          AND p_known -> e.source_type ? e.source_event_id
          AND NOT EXISTS (SELECT FROM wanted w WHERE w.outage_event_id = e.outage_event_id
                          AND w.source_type = e.source_type AND w.id = e.source_event_id)
    )
    INSERT INTO public.oms_event_sources AS e
        (outage_event_id, source_type, source_event_id, source_table, correlation_weight, detected_at)
    SELECT w.outage_event_id, w.source_type, w.id, w.source_table, w.weight, w.at FROM wanted w
    ON CONFLICT (outage_event_id, source_type, source_event_id) DO UPDATE
    SET correlation_weight = excluded.correlation_weight, detected_at = excluded.detected_at,
        source_table = excluded.source_table
    WHERE (e.correlation_weight, e.detected_at, e.source_table)
          IS DISTINCT FROM (excluded.correlation_weight, excluded.detected_at, excluded.source_table);
END $$;

-- Which concluded outage stands in the place of one that is withdrawn: the uppermost above it, else the first below
-- it, of those that overlap it in time.
CREATE FUNCTION oms_topology.succeeding_conclusion(
    p_gone oms_topology.outage_device, p_stood_until timestamptz, p_outage_ids uuid[], OUT outage_event_id uuid, OUT is_above boolean
)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        SELECT d.segment_no, d.position_no, d.last_position_no FROM oms_topology.device d WHERE d.device_no = p_gone.device_no
        UNION ALL
        SELECT m.segment_no, m.position_no, m.position_no FROM public.oms_meters m WHERE m.meter_no = p_gone.meter_no
    ), standing AS (
        SELECT o.outage_event_id, o.started_at, d.depth, d.segment_no, d.position_no, d.last_position_no, true AS is_device
        FROM oms_topology.outage_device o JOIN oms_topology.device d ON d.device_no = o.device_no
        WHERE o.outage_event_id = ANY (p_outage_ids)
          AND o.started_at <= COALESCE(p_stood_until, 'infinity') AND p_gone.started_at <= COALESCE(o.ended_at, 'infinity')
        UNION ALL
        SELECT o.outage_event_id, o.started_at, NULL, m.segment_no, m.position_no, m.position_no, false
        FROM oms_topology.outage_device o JOIN public.oms_meters m ON m.meter_no = o.meter_no
        WHERE o.outage_event_id = ANY (p_outage_ids)
          AND o.started_at <= COALESCE(p_stood_until, 'infinity') AND p_gone.started_at <= COALESCE(o.ended_at, 'infinity')
    )
    SELECT s.outage_event_id, x.is_above
    FROM gone g JOIN standing s ON s.segment_no = g.segment_no
    CROSS JOIN LATERAL (SELECT s.is_device AND g.position_no BETWEEN s.position_no AND s.last_position_no AS is_above) x
    WHERE x.is_above OR p_gone.device_no IS NOT NULL AND s.position_no BETWEEN g.position_no AND g.last_position_no
    ORDER BY x.is_above DESC, s.depth, s.started_at, s.outage_event_id LIMIT 1
$$;

-- Takes back what no longer follows. A device's own word stands unless an outage takes its place; of one that was
-- planned nothing can, for inference leaves it out.
CREATE FUNCTION oms_topology.withdraw_conclusions(
    p_gone oms_topology.outage_device[], p_outage_ids uuid[], p_reasons jsonb, p_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone   oms_topology.outage_device;
    code   text;
    next   record;
    reason text;
BEGIN
    FOREACH gone IN ARRAY p_gone LOOP
        SELECT * INTO next FROM oms_topology.succeeding_conclusion(gone, gone.ended_at, p_outage_ids);
        IF gone.origin = 'device' AND (next.outage_event_id IS NULL
                OR NOT next.is_above AND oms_topology.planned_reference(gone.device_no, gone.started_at) IS NOT NULL) THEN
            UPDATE oms_topology.outage_device SET ended_at = gone.ended_at WHERE outage_event_id = gone.outage_event_id;
            CONTINUE;
        END IF;
        SELECT e.event_id INTO code FROM public.oms_outage_events e WHERE e.id = gone.outage_event_id;
        reason := COALESCE(p_reasons ->> code, CASE
            WHEN next.outage_event_id IS NULL THEN 'What was heard does not support it any more.'
            WHEN next.is_above THEN 'What was heard shows it as part of a larger outage.'
            ELSE 'What was heard narrows it down to less.' END);
        PERFORM oms_topology.withdraw_outage(gone.outage_event_id, next.outage_event_id, reason);
        IF EXISTS (SELECT FROM public.oms_outage_events e WHERE e.id = gone.outage_event_id) THEN
            UPDATE oms_topology.outage_device SET ended_at = gone.ended_at WHERE outage_event_id = gone.outage_event_id;
        ELSIF next.outage_event_id IS NOT NULL THEN
            PERFORM oms_topology.note_conclusion(e.id, 'merged', e.status, 'Stands in the place of ' || code || '. ' || reason, p_at, NULL)
            FROM public.oms_outage_events e WHERE e.id = next.outage_event_id;
        END IF;
    END LOOP;
END $$;

-- Tells whether outages of trees are still those that the evidence was read beside.
CREATE FUNCTION oms_topology.outages_seen(p_segment_nos integer[], p_since timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT md5(COALESCE(string_agg(o.outage_event_id::text || o.started_at || COALESCE(o.ended_at::text, '') || e.status, ','
                                   ORDER BY o.outage_event_id), ''))
    FROM oms_topology.segment_outages(p_segment_nos, p_since) o
    JOIN public.oms_outage_events e ON e.id = o.outage_event_id
$$;

-- Makes the outages of trees, as far as they reach beyond p_since, those that are wanted; returns them in that order.
-- p_seen is what outages_seen() told when the evidence was read: where devices or people have moved an outage since,
-- the conclusions are void, and the transaction is to be run again.
CREATE FUNCTION oms_topology.conclude(
    p_segment_nos integer[], p_since timestamptz, p_at timestamptz, p_seen text, p_wanted jsonb, p_known jsonb, p_reasons jsonb
) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted     oms_topology.wanted_outage[];
    outage     oms_topology.wanted_outage;
    gone       oms_topology.outage_device[];
    ids        uuid[] := '{}';
    matched    jsonb;
    next_id    uuid;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('oms_topology.segment'), s.no)
    FROM (SELECT unnest(p_segment_nos) AS no ORDER BY 1) s;
    PERFORM FROM public.oms_outage_events e
    WHERE e.id IN (SELECT o.outage_event_id FROM oms_topology.segment_outages(p_segment_nos, p_since) o)
    ORDER BY e.id FOR UPDATE;
    IF oms_topology.outages_seen(p_segment_nos, p_since) <> p_seen THEN
        RAISE EXCEPTION 'the outages of segments % changed meanwhile', p_segment_nos USING ERRCODE = 'serialization_failure';
    END IF;
    wanted := ARRAY(SELECT w FROM oms_topology.wanted_outages(p_wanted) w ORDER BY w.ended_at NULLS LAST, w.place);
    SELECT COALESCE(jsonb_object_agg(c.place, c.outage_event_id), '{}') INTO matched
    FROM oms_topology.continued_conclusions(wanted, p_segment_nos, p_since) c;
    gone := ARRAY(
        SELECT o FROM oms_topology.segment_outages(p_segment_nos, p_since) o
        JOIN public.oms_outage_events e ON e.id = o.outage_event_id
        WHERE e.status <> 'cancelled' AND NOT EXISTS (SELECT FROM jsonb_each_text(matched) m WHERE m.value = o.outage_event_id::text)
        ORDER BY o.started_at, o.outage_event_id);
    -- What goes is closed first: a device has one open outage at the most. So is what ends, before what opens.
    UPDATE oms_topology.outage_device o SET ended_at = o.started_at
    FROM unnest(gone) g WHERE o.outage_event_id = g.outage_event_id;
    FOREACH outage IN ARRAY wanted LOOP
        next_id := (matched ->> outage.place::text)::uuid;
        PERFORM oms_topology.revise_conclusion(x.id, outage, next_id IS NULL, p_at)
        FROM (SELECT COALESCE(next_id, oms_topology.open_conclusion(outage)) AS id OFFSET 0) x;
        ids := ids || COALESCE(next_id, (SELECT e.id FROM public.oms_outage_events e
            WHERE e.event_id = oms_topology.outage_code(outage.kind, outage.code, outage.started_at)));
    END LOOP;
    PERFORM oms_topology.keep_inference(u.id, w)
    FROM unnest(ids) WITH ORDINALITY AS u (id, at)
    JOIN LATERAL (SELECT wanted[u.at] AS w) x ON true;
    PERFORM oms_topology.support_conclusions(ids, wanted, p_known);
    PERFORM oms_topology.withdraw_conclusions(gone, ids, p_reasons, p_at);
    -- Several that oms_correlate_events opened by place for reports of what is one outage.
    PERFORM oms_topology.withdraw_outage(d.id, d.successor_id, 'The same reports support the outage in its place.')
    FROM (SELECT DISTINCT ON (e.id) e.id, own.outage_event_id AS successor_id
          FROM public.oms_event_sources own
          JOIN public.oms_event_sources x ON x.source_type = own.source_type AND x.source_event_id = own.source_event_id
          JOIN public.oms_outage_events e ON e.id = x.outage_event_id AND e.event_type = 'outage' AND e.status <> 'cancelled'
          WHERE own.outage_event_id = ANY (ids)
            AND NOT EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = e.id)
          ORDER BY e.id, own.outage_event_id) d;
    RETURN ids;
END $$;

-- Clears what has been over for more than a day (younger ones are judged with their tree) and less than a month, once its
-- meters verify it: at least one was heard after the end, and none is dark by its own word from before it.
CREATE FUNCTION oms_topology.clear_verified(p_at timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    cleared integer := 0;
    outage  record;
BEGIN
    FOR outage IN
        SELECT e.id, i.posterior, heard.last_at
        FROM public.oms_outage_events e
        LEFT JOIN oms_topology.outage_inference i ON i.outage_event_id = e.id
        CROSS JOIN LATERAL (
            SELECT max(m.own_power_at) AS last_at,
                   bool_or(m.own_power_status = 'off' AND m.own_power_at <= e.actual_restoration_time) AS is_dark
            FROM oms_topology.outage_meters(e.id) x JOIN public.oms_meters m ON m.meter_no = x.meter_no) heard
        WHERE e.status = 'restored' AND heard.last_at > e.actual_restoration_time AND NOT heard.is_dark
          AND e.actual_restoration_time BETWEEN p_at - interval '30 days' AND p_at - interval '1 day'
        ORDER BY e.id FOR NO KEY UPDATE OF e SKIP LOCKED
    LOOP
        UPDATE public.oms_outage_events SET status = oms_topology.outage_status(id, 'cleared'), last_updated_at = clock_timestamp()
        WHERE id = outage.id;
        PERFORM oms_topology.note_conclusion(
            outage.id, 'cleared', 'cleared', 'Every meter that lost supply has been heard again.', outage.last_at, outage.posterior);
        cleared := cleared + 1;
    END LOOP;
    RETURN cleared;
END $$;
