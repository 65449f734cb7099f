-- The call-center door. A call is evidence: it opens a ticket and names a meter, and changes no status.
-- Phone and address stay in the call center's own tables; signals, findings and errors never carry them.

-- A message as one parsed form, as parse_scada gives it; NULL where one of the three required fields is missing.
CREATE FUNCTION oms_topology.parse_call(p_message jsonb, p_received_at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said     record;
    at       record;
    field    record;
    customer jsonb;
    intake   jsonb;
    details  jsonb := '{}';
    findings jsonb := '[]';
    hash     text;
BEGIN
    SELECT * INTO said FROM oms_topology.unwrap(p_message);
    IF said.error ->> 'reason' = 'not a JSON object' THEN
        RETURN NULL;
    ELSIF said.error IS NOT NULL THEN
        RETURN jsonb_build_object('error', said.error);
    ELSIF 'null' IN (COALESCE(said.event -> 'ticketId', 'null'), COALESCE(said.event -> 'timestamp', 'null'),
                     COALESCE(said.event -> 'customer', 'null')) THEN
        RETURN NULL;
    END IF;
    customer := said.event -> 'customer';
    intake := COALESCE(said.event -> 'intake', said.envelope -> 'intake');
    IF jsonb_typeof(customer) <> 'object' THEN
        RETURN oms_topology.unusable('customer', 'not an object');
    END IF;
    SELECT * INTO at FROM oms_topology.event_time(said.event, said.envelope, p_received_at,
        (SELECT time_zone FROM oms_topology.source_setting WHERE source = 'call_center'));
    IF at.error IS NOT NULL THEN
        RETURN at.error;
    END IF;

    FOR field IN
        SELECT f.key, t.value, t.trouble
        FROM (VALUES ('ticket_id', said.event, 'ticketId', 64), ('intake_id', intake, 'intakeId', 64),
                     ('oms_event_id', intake, 'omsEventId', 64),
                     ('source', CASE WHEN said.event ? 'source' THEN said.event ELSE said.envelope END, 'source', 64),
                     ('status', said.event, 'status', 32), ('phone', customer, 'phone', 32),
                     ('meter_number', customer, 'meterNumber', 64), ('address', customer, 'address', 10000),
                     ('notes', customer, 'notes', 10000), ('more_notes', said.event, 'notes', 10000)) AS f (key, node, name, max)
        CROSS JOIN LATERAL oms_topology.text_field(f.node, f.name, f.max) t
    LOOP
        findings := findings || COALESCE(field.trouble, '[]');
        details := details || jsonb_build_object(field.key, field.value);
    END LOOP;
    IF oms_topology.ticket_rank(details ->> 'status') IS NULL AND details ->> 'status' IS NOT NULL THEN
        findings := findings || oms_topology.finding('status', 'not a status of a ticket');
        details := details || '{"status": null}';
    END IF;
    IF details ->> 'more_notes' <> COALESCE(details ->> 'notes', '') THEN
        details := details || jsonb_build_object('notes', concat_ws(E'\n', details ->> 'notes', details ->> 'more_notes'));
    END IF;

    -- The same words are the same call, whichever way they were wrapped and wherever the notes stood.
    hash := encode(sha256(convert_to((jsonb_build_object('timestamp', said.event -> 'timestamp')
        || (details - ARRAY['intake_id', 'oms_event_id', 'source', 'status', 'more_notes']))::text, 'UTF8')), 'hex');
    details := details || jsonb_build_object('ticket_id', COALESCE(details ->> 'ticket_id', 'sha256:' || left(hash, 57)));
    RETURN jsonb_build_object(
        'source_event_id', details ->> 'ticket_id', 'content_hash', hash,
        'device_kind', 'meter', 'device_code', details ->> 'meter_number', 'power_status', 'off',
        'occurred_at', oms_topology.iso_time(at.occurred_at), 'sent_at', oms_topology.iso_time(at.sent_at),
        'time_is_sound', at.is_sound, 'findings', findings || COALESCE(at.trouble, '[]'), 'details', details,
        'payload', jsonb_build_object('ticketId', details -> 'ticket_id', 'timestamp', said.event -> 'timestamp',
                                      'meterNumber', details -> 'meter_number'));
END $$;

-- How far a ticket has come; it never goes back.
CREATE FUNCTION oms_topology.ticket_rank(p_status text) RETURNS integer
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT array_position(ARRAY['Registered', 'Crew Assigned', 'In Progress', 'Partially Restored', 'Restored'], p_status)
$$;

-- A new ticket. Intake ids that another ticket bears already are left out: they are no ground to lose a call.
CREATE FUNCTION oms_topology.open_ticket(p_details jsonb, p_occurred_at timestamptz, p_received_at timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept      record;
    ticket_id uuid;
BEGIN
    FOR kept IN SELECT * FROM (VALUES (true, true), (true, false), (false, true), (false, false)) AS k (intake_id, oms_event_id) LOOP
        INSERT INTO public.callcenter_tickets (external_ticket_id, intake_id, oms_event_id, status, intake_timestamp, source)
        VALUES (p_details ->> 'ticket_id', CASE WHEN kept.intake_id THEN p_details ->> 'intake_id' END,
                CASE WHEN kept.oms_event_id THEN p_details ->> 'oms_event_id' END,
                COALESCE(p_details ->> 'status', 'Registered'), p_occurred_at, COALESCE(p_details ->> 'source', 'call-center'))
        ON CONFLICT DO NOTHING
        RETURNING id INTO ticket_id;
        EXIT WHEN ticket_id IS NOT NULL;
    END LOOP;
    INSERT INTO public.callcenter_ticket_status_history (ticket_id, status, changed_at, note)
    VALUES (ticket_id, COALESCE(p_details ->> 'status', 'Registered'), p_received_at, 'Intake created');
    RETURN ticket_id;
END $$;

-- The ticket of a message: found by its number or opened, advanced, with the caller's words beside it.
CREATE FUNCTION oms_topology.store_ticket(
    p_details jsonb, p_message jsonb, p_occurred_at timestamptz, p_received_at timestamptz
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ticket public.callcenter_tickets;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.ticket'), hashtext(p_details ->> 'ticket_id'));
    SELECT * INTO ticket FROM public.callcenter_tickets t
    WHERE t.external_ticket_id = p_details ->> 'ticket_id' ORDER BY t.created_at, t.id LIMIT 1;
    IF NOT FOUND THEN
        ticket.id := oms_topology.open_ticket(p_details, p_occurred_at, p_received_at);
    ELSIF oms_topology.ticket_rank(p_details ->> 'status') > COALESCE(oms_topology.ticket_rank(ticket.status), 0) THEN
        UPDATE public.callcenter_tickets SET status = p_details ->> 'status' WHERE id = ticket.id;
        INSERT INTO public.callcenter_ticket_status_history (ticket_id, status, changed_at)
        VALUES (ticket.id, p_details ->> 'status', p_received_at);
    END IF;
    INSERT INTO public.callcenter_customers (ticket_id, phone, meter_number, address, notes)
    SELECT ticket.id, p_details ->> 'phone', p_details ->> 'meter_number', p_details ->> 'address', p_details ->> 'notes'
    WHERE NOT EXISTS (
        SELECT FROM public.callcenter_customers c WHERE c.ticket_id = ticket.id
          AND (c.phone, c.meter_number, c.address, c.notes) IS NOT DISTINCT FROM
              ((p_details ->> 'phone')::varchar, (p_details ->> 'meter_number')::varchar,
               p_details ->> 'address', p_details ->> 'notes'));
    INSERT INTO public.callcenter_raw_messages (ticket_id, raw_payload, received_at)
    VALUES (ticket.id, p_message, p_received_at);
    RETURN ticket.id;
END $$;

-- Links a ticket's callers to their meters, those that nobody knew registered.
CREATE FUNCTION oms_topology.link_ticket(p_signal_no bigint, p_ticket_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM oms_topology.meters_named(p_signal_no, array_agg(c.meter_number::text ORDER BY c.meter_number))
    FROM public.callcenter_customers c
    WHERE c.ticket_id = p_ticket_id AND c.meter_id IS NULL AND btrim(c.meter_number) <> ''
    HAVING count(*) > 0;
    UPDATE public.callcenter_customers c SET meter_id = m.id
    FROM public.oms_meters m
    WHERE c.ticket_id = p_ticket_id AND c.meter_id IS NULL AND btrim(c.meter_number) <> ''
      AND m.meter_no = oms_topology.find_meter(c.meter_number);
END $$;

-- One call, whole; NULL for what became a dead letter.
CREATE FUNCTION oms_topology.record_call(p_parsed jsonb, p_message jsonb, p_received_at timestamptz, p_links_meter boolean)
RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said      oms_topology.signal;
    ticket_id uuid;
BEGIN
    IF p_parsed ? 'error' THEN
        PERFORM oms_topology.keep_unusable('call_center', p_parsed -> 'error', p_message);
        RETURN NULL;
    END IF;
    said := oms_topology.accept_signal('call_center', p_parsed, p_received_at);
    ticket_id := (said.result ->> 'ticket_id')::uuid;
    IF ticket_id IS NULL THEN
        ticket_id := oms_topology.store_ticket(p_parsed -> 'details', p_message, said.occurred_at, p_received_at);
        UPDATE oms_topology.signal SET record_id = ticket_id::text WHERE signal_no = said.signal_no;
    END IF;
    IF p_links_meter AND NOT COALESCE((said.result ->> 'meter_linked')::boolean, false) THEN
        PERFORM oms_topology.link_ticket(said.signal_no, ticket_id);
    END IF;
    IF said.result IS NULL OR p_links_meter THEN
        PERFORM oms_topology.finish_signal(said.signal_no, jsonb_build_object(
            'ticket_id', ticket_id,
            'meter_linked', p_links_meter OR COALESCE((said.result ->> 'meter_linked')::boolean, false)));
    END IF;
    RETURN ticket_id;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    PERFORM oms_topology.keep_unusable('call_center', oms_topology.finding('payload', 'cannot be stored: ' || SQLSTATE), p_message);
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.accept_call(p_message jsonb, p_links_meter boolean) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parsed jsonb := oms_topology.parse_call(p_message, now());
BEGIN
    IF parsed IS NULL THEN
        RAISE EXCEPTION 'Missing required fields: ticketId, timestamp, customer';
    END IF;
    RETURN oms_topology.record_call(parsed, p_message, now(), p_links_meter);
END $$;

DROP FUNCTION IF EXISTS public.insert_callcenter_ticket_from_json_with_meter_link(jsonb);
CREATE FUNCTION public.insert_callcenter_ticket_from_json_with_meter_link(json_data jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.accept_call(json_data, true)
$$;

DROP FUNCTION IF EXISTS public.insert_callcenter_ticket_from_json(jsonb);
CREATE FUNCTION public.insert_callcenter_ticket_from_json(json_data jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.accept_call(json_data, false)
$$;

-- Links all callers whose meter has become known since; in one statement, however many there are.
DROP FUNCTION IF EXISTS public.sync_callcenter_tickets_to_meters();
CREATE FUNCTION public.sync_callcenter_tickets_to_meters()
RETURNS TABLE (tickets_processed integer, meters_linked integer, meters_not_found integer)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH waiting AS MATERIALIZED (
        SELECT c.id, (SELECT m.id FROM public.oms_meters m
                      WHERE m.meter_no = oms_topology.find_meter(c.meter_number)) AS meter_id
        FROM public.callcenter_customers c
        WHERE c.meter_id IS NULL AND btrim(c.meter_number) <> ''
    ), linked AS (
        UPDATE public.callcenter_customers c SET meter_id = w.meter_id
        FROM waiting w WHERE c.id = w.id AND w.meter_id IS NOT NULL
        RETURNING c.id
    )
    SELECT (SELECT count(*) FROM waiting)::integer, (SELECT count(*) FROM linked)::integer,
           (SELECT count(*) FROM waiting w WHERE w.meter_id IS NULL)::integer
$$;
