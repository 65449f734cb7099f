-- The call-center door. A call is evidence: it opens a ticket and names a meter, and changes no status.
-- Phone and address stay in the call center's own tables; signals, findings and errors never carry them.

-- A meter number that somebody typed, as the registry writes them: without blanks and invisible characters, in
-- capitals and ASCII digits, and without separators where letters and digits are what remains.
CREATE FUNCTION oms_topology.tidy_meter_number(p_number text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT NULLIF(CASE WHEN s.joined ~ '^[A-Z]{0,4}[0-9]{4,}$' THEN s.joined ELSE p.plain END, '')
    FROM (SELECT translate(
        regexp_replace(p_number,
            U&'[\0001-\0020\007F-\00A0\00AD\061C\1680\2000-\200F\2028-\202F\205F-\2064\2066-\206F\3000\FEFF]', '', 'g'),
        'abcdefghijklmnopqrstuvwxyz'
        || U&'\0660\0661\0662\0663\0664\0665\0666\0667\0668\0669\06F0\06F1\06F2\06F3\06F4\06F5\06F6\06F7\06F8\06F9'
        || U&'\FF10\FF11\FF12\FF13\FF14\FF15\FF16\FF17\FF18\FF19\2010\2011\2012\2013\2014\2015\2212\FE58\FE63\FF0D'
        || U&'\FF21\FF22\FF23\FF24\FF25\FF26\FF27\FF28\FF29\FF2A\FF2B\FF2C\FF2D\FF2E\FF2F\FF30\FF31\FF32\FF33\FF34\FF35\FF36\FF37\FF38\FF39\FF3A'
        || U&'\FF41\FF42\FF43\FF44\FF45\FF46\FF47\FF48\FF49\FF4A\FF4B\FF4C\FF4D\FF4E\FF4F\FF50\FF51\FF52\FF53\FF54\FF55\FF56\FF57\FF58\FF59\FF5A',
        'ABCDEFGHIJKLMNOPQRSTUVWXYZ' || '01234567890123456789' || '0123456789----------'
        || 'ABCDEFGHIJKLMNOPQRSTUVWXYZ' || 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') AS plain) p
    CROSS JOIN LATERAL (SELECT translate(p.plain, '-_./#:', '') AS joined) s
$$;

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
    IF COALESCE(jsonb_typeof(intake), 'null') NOT IN ('null', 'object') THEN
        findings := findings || oms_topology.finding('intake', 'not an object');
    END IF;
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
    details := details || jsonb_build_object('meter_number', oms_topology.tidy_meter_number(details ->> 'meter_number'));
    IF details ->> 'meter_number' IS NULL THEN
        findings := findings || oms_topology.finding('meterNumber', 'missing or not a number; known by ticket only');
    END IF;
    IF details ->> 'more_notes' <> COALESCE(details ->> 'notes', '') THEN
        details := details || jsonb_build_object('notes', concat_ws(E'\n', details ->> 'notes', details ->> 'more_notes'));
    END IF;

    -- The same words are the same call, whichever way they were wrapped and wherever the notes stood.
    hash := oms_topology.content_hash(ARRAY[
        CASE jsonb_typeof(said.event -> 'timestamp') WHEN 'string' THEN said.event ->> 'timestamp' END,
        (SELECT value FROM oms_topology.text_field(said.event, 'ticketId', 1048576)), details ->> 'phone', details ->> 'meter_number', details ->> 'address', details ->> 'notes']);
    details := details || jsonb_build_object('ticket_id', COALESCE(details ->> 'ticket_id', 'sha256:' || left(hash, 57)));
    RETURN jsonb_build_object(
        'source_event_id', details ->> 'ticket_id', 'content_hash', hash,
        'device_kind', CASE WHEN details ->> 'meter_number' IS NULL THEN 'caller' ELSE 'meter' END,
        'device_code', COALESCE(details ->> 'meter_number', details ->> 'ticket_id'), 'power_status', 'off',
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

-- New tickets for the calls at p_places, with the ids given for them. Intake ids that another ticket bears already
-- are left out: they are no ground to lose a call.
CREATE FUNCTION oms_topology.open_tickets(
    p_parsed jsonb[], p_places integer[], p_ticket_ids uuid[], p_received_at timestamptz
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids    text := oms_topology.id_prefix();
    places integer[] := p_places;
    opened uuid[];
    kept   record;
BEGIN
    FOR kept IN SELECT * FROM (VALUES (true, true), (true, false), (false, true), (false, false)) AS k (intake_id, oms_event_id) LOOP
        WITH opening AS (
            INSERT INTO public.callcenter_tickets (id, external_ticket_id, intake_id, oms_event_id, status, intake_timestamp, source)
            SELECT p_ticket_ids[w.place], d.details ->> 'ticket_id', CASE WHEN kept.intake_id THEN d.details ->> 'intake_id' END,
                   CASE WHEN kept.oms_event_id THEN d.details ->> 'oms_event_id' END,
                   COALESCE(d.details ->> 'status', 'Registered'), (p_parsed[w.place] ->> 'occurred_at')::timestamptz,
                   COALESCE(d.details ->> 'source', 'call-center')
            FROM unnest(places) AS w (place)
            CROSS JOIN LATERAL (SELECT p_parsed[w.place] -> 'details' AS details OFFSET 0) d
            ORDER BY d.details ->> 'ticket_id' COLLATE "C"
            ON CONFLICT DO NOTHING
            RETURNING id
        )
        SELECT array_agg(o.id) INTO opened FROM opening o;
        places := ARRAY(SELECT w.place FROM unnest(places) AS w (place) WHERE p_ticket_ids[w.place] = ANY (opened) IS NOT TRUE);
        EXIT WHEN places = '{}';
    END LOOP;
    INSERT INTO public.callcenter_ticket_status_history (id, ticket_id, status, changed_at, note)
    SELECT (ids || lpad(to_hex(w.place), 6, '0'))::uuid, p_ticket_ids[w.place],
           COALESCE(p_parsed[w.place] #>> '{details,status}', 'Registered'), p_received_at, 'Intake created'
    FROM unnest(p_places) AS w (place);
END $$;

-- The callers of new tickets with their words, linked to their meters where p_is_whole.
CREATE FUNCTION oms_topology.store_callers(
    p_parsed jsonb[], p_places integer[], p_ticket_ids uuid[], p_received_at timestamptz, p_is_whole boolean
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids text := oms_topology.id_prefix();
BEGIN
    INSERT INTO public.callcenter_customers (id, ticket_id, phone, meter_number, address, notes, meter_id)
    SELECT (ids || lpad(to_hex(w.place), 6, '0'))::uuid, p_ticket_ids[w.place], d.details ->> 'phone', d.number,
           d.details ->> 'address', d.details ->> 'notes', m.id
    FROM unnest(p_places) AS w (place)
    CROSS JOIN LATERAL (SELECT p_parsed[w.place] -> 'details' AS details,
                               p_parsed[w.place] #>> '{details,meter_number}' AS number OFFSET 0) d
    LEFT JOIN LATERAL (
        SELECT m.id FROM public.oms_meters m
        WHERE p_is_whole AND upper(btrim(m.meter_number)) = upper(btrim(d.number, E' \t\n\r\f\x0B')) AND btrim(d.number) <> ''
        ORDER BY m.meter_number = d.number DESC, m.meter_number COLLATE "C" LIMIT 1) m ON true;
    INSERT INTO public.callcenter_raw_messages (id, ticket_id, raw_payload, received_at)
    SELECT (ids || lpad(to_hex(w.place), 6, '0'))::uuid, p_ticket_ids[w.place], p_parsed[w.place] -> 'message', p_received_at
    FROM unnest(p_places) AS w (place);
END $$;

-- The ticket of a message, whose number is locked: found by it or opened, advanced, with the caller's words beside it.
CREATE FUNCTION oms_topology.store_ticket(p_parsed jsonb, p_received_at timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ticket  public.callcenter_tickets;
    details jsonb := p_parsed -> 'details';
BEGIN
    SELECT * INTO ticket FROM public.callcenter_tickets t
    WHERE t.external_ticket_id = details ->> 'ticket_id' ORDER BY t.created_at, t.id LIMIT 1;
    IF NOT FOUND THEN
        ticket.id := gen_random_uuid();
        PERFORM oms_topology.open_tickets(ARRAY[p_parsed], ARRAY[1], ARRAY[ticket.id], p_received_at);
    ELSIF oms_topology.ticket_rank(details ->> 'status') > COALESCE(oms_topology.ticket_rank(ticket.status), 0) THEN
        UPDATE public.callcenter_tickets SET status = details ->> 'status' WHERE id = ticket.id;
        INSERT INTO public.callcenter_ticket_status_history (ticket_id, status, changed_at)
        VALUES (ticket.id, details ->> 'status', p_received_at);
    END IF;
    INSERT INTO public.callcenter_customers (ticket_id, phone, meter_number, address, notes)
    SELECT ticket.id, details ->> 'phone', details ->> 'meter_number', details ->> 'address', details ->> 'notes'
    WHERE NOT EXISTS (
        SELECT FROM public.callcenter_customers c WHERE c.ticket_id = ticket.id
          AND (c.phone, c.meter_number, c.address, c.notes) IS NOT DISTINCT FROM
              ((details ->> 'phone')::varchar, (details ->> 'meter_number')::varchar,
               details ->> 'address', details ->> 'notes'));
    INSERT INTO public.callcenter_raw_messages (ticket_id, raw_payload, received_at)
    VALUES (ticket.id, p_parsed -> 'message', p_received_at);
    RETURN ticket.id;
END $$;

-- Links a ticket's callers to their meters.
CREATE FUNCTION oms_topology.link_ticket(p_ticket_id uuid) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.callcenter_customers c SET meter_id = m.id
    FROM public.oms_meters m
    WHERE c.ticket_id = p_ticket_id AND c.meter_id IS NULL AND btrim(c.meter_number) <> ''
      AND m.meter_no = oms_topology.find_meter(c.meter_number)
$$;

-- Registers the meters that calls name and nobody knew: those of the calls, and of earlier ones on their tickets
-- where these are not new (p_ticket_ids is NULL).
CREATE FUNCTION oms_topology.register_callers_meters(p_parsed jsonb[], p_signal_nos bigint[], p_ticket_ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named      text[];
    named_by   bigint[];
    registered integer[];
BEGIN
    SELECT array_agg(n.number), array_agg(n.signal_no) INTO named, named_by
    FROM (SELECT u.parsed #>> '{details,meter_number}' AS number, u.signal_no
          FROM unnest(p_parsed, p_signal_nos) AS u (parsed, signal_no)
          UNION
          SELECT c.meter_number, u.signal_no
          FROM unnest(p_parsed, p_signal_nos, p_ticket_ids) AS u (parsed, signal_no, ticket_id)
          CROSS JOIN LATERAL (
              SELECT c.meter_number FROM public.callcenter_tickets t
              JOIN public.callcenter_customers c ON c.ticket_id = t.id AND c.meter_id IS NULL
              WHERE t.external_ticket_id = u.parsed #>> '{details,ticket_id}' OFFSET 0) c
          WHERE u.ticket_id IS NULL) n
    WHERE btrim(n.number) <> '';
    registered := oms_topology.register_meters(named, '{}');
    IF registered <> '{}' THEN
        PERFORM oms_topology.mark_provisional(registered, named_by, oms_topology.find_meters(named));
    END IF;
END $$;

-- One call whose signal stands: its ticket, once, and its link, once; gives the call's result.
CREATE FUNCTION oms_topology.record_call(
    p_signal_no bigint, p_is_new boolean, p_parsed jsonb, p_received_at timestamptz, p_is_whole boolean
) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said   oms_topology.signal;
    ticket uuid;
    answer jsonb;
BEGIN
    SELECT * INTO STRICT said FROM oms_topology.signal WHERE signal_no = p_signal_no;
    ticket := (said.result ->> 'ticket_id')::uuid;
    IF ticket IS NULL THEN
        ticket := oms_topology.store_ticket(p_parsed, p_received_at);
    END IF;
    answer := jsonb_build_object(
        'ticket_id', ticket, 'meter_linked', p_is_whole OR COALESCE((said.result ->> 'meter_linked')::boolean, false));
    IF answer IS DISTINCT FROM said.result THEN
        IF p_is_whole THEN
            PERFORM oms_topology.link_ticket(ticket);
        END IF;
        UPDATE oms_topology.signal SET record_id = ticket::text, result = answer WHERE signal_no = p_signal_no;
    END IF;
    RETURN answer || jsonb_build_object('duplicate', NOT p_is_new);
END $$;

-- Of each call the id of the ticket that it would open, were it new; NULL where its ticket stands already, or an
-- earlier call of the batch opens it. The numbers are locked: a ticket is opened once.
CREATE FUNCTION oms_topology.plan_tickets(p_parsed jsonb[]) RETURNS uuid[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids text := oms_topology.id_prefix();
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.ticket'), t.lock_no)
    FROM (SELECT DISTINCT hashtext(u.parsed #>> '{details,ticket_id}') AS lock_no FROM unnest(p_parsed) AS u (parsed) ORDER BY 1) t;
    RETURN ARRAY(
        SELECT CASE WHEN row_number() OVER (PARTITION BY d.number ORDER BY u.place) = 1
                         AND NOT EXISTS (SELECT FROM public.callcenter_tickets t WHERE t.external_ticket_id = d.number)
                    THEN (ids || lpad(to_hex(u.place), 6, '0'))::uuid END
        FROM unnest(p_parsed) WITH ORDINALITY AS u (parsed, place)
        CROSS JOIN LATERAL (SELECT u.parsed #>> '{details,ticket_id}' AS number OFFSET 0) d
        ORDER BY u.place);
END $$;

-- One batch of parsed calls, whole or without their meters; one result for each, in order. Calls that open a ticket
-- go together, those that may advance one go one by one, in the order of the tickets' numbers.
CREATE FUNCTION oms_topology.record_calls(p_parsed jsonb[], p_received_at timestamptz, p_is_whole boolean) RETURNS jsonb[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    ticket_ids uuid[] := oms_topology.plan_tickets(p_parsed);
    planned    jsonb[] := ARRAY(
        SELECT CASE WHEN t.id IS NOT NULL THEN jsonb_build_object('ticket_id', t.id, 'meter_linked', p_is_whole) END
        FROM unnest(ticket_ids) WITH ORDINALITY AS t (id, place) ORDER BY t.place);
    said       record;
    call       record;
    opening    integer[];
    results    jsonb[];
BEGIN
    SELECT * INTO said FROM oms_topology.accept_signals('call_center', p_parsed, p_received_at, ticket_ids::text[], planned);
    IF p_is_whole THEN
        PERFORM oms_topology.register_callers_meters(p_parsed, said.signal_nos, ticket_ids);
    END IF;
    SELECT array_agg(u.place) FILTER (WHERE u.opens), array_agg(CASE WHEN u.opens THEN planned[u.place] || '{"duplicate": false}' END)
    INTO opening, results
    FROM (SELECT u.place::integer, u.is_new AND u.ticket_id IS NOT NULL AS opens
          FROM unnest(said.are_new, ticket_ids) WITH ORDINALITY AS u (is_new, ticket_id, place) ORDER BY u.place) u;
    IF opening IS NOT NULL THEN
        PERFORM oms_topology.open_tickets(p_parsed, opening, ticket_ids, p_received_at);
        PERFORM oms_topology.store_callers(p_parsed, opening, ticket_ids, p_received_at, p_is_whole);
    END IF;
    FOR call IN
        SELECT u.* FROM unnest(p_parsed, said.signal_nos, said.are_new, results) WITH ORDINALITY AS u (parsed, signal_no, is_new, result, place)
        WHERE u.result IS NULL ORDER BY u.parsed #>> '{details,ticket_id}' COLLATE "C", u.place
    LOOP
        results[call.place] := oms_topology.record_call(call.signal_no, call.is_new, call.parsed, p_received_at, p_is_whole);
    END LOOP;
    RETURN results;
END $$;

-- One call at the SQL door; gives its ticket's id, NULL for what became a dead letter.
CREATE FUNCTION oms_topology.accept_call(p_message jsonb, p_is_whole boolean, p_received_at timestamptz) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parsed jsonb := oms_topology.parse_call(p_message, p_received_at);
BEGIN
    IF parsed IS NULL THEN
        RAISE EXCEPTION 'Missing required fields: ticketId, timestamp, customer';
    ELSIF parsed ? 'error' THEN
        PERFORM oms_topology.keep_unusable('call_center', parsed -> 'error', p_message);
        RETURN NULL;
    END IF;
    RETURN (SELECT r.results[1] ->> 'ticket_id'
            FROM oms_topology.record_messages(
                'call_center', ARRAY[parsed || jsonb_build_object('message', p_message)],
                ARRAY[convert_to(p_message::text, 'UTF8')], p_received_at, p_is_whole) AS r (results))::uuid;
END $$;

DROP FUNCTION IF EXISTS public.insert_callcenter_ticket_from_json_with_meter_link(jsonb);
CREATE FUNCTION public.insert_callcenter_ticket_from_json_with_meter_link(json_data jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.accept_call(json_data, true, now())
$$;

DROP FUNCTION IF EXISTS public.insert_callcenter_ticket_from_json(jsonb);
CREATE FUNCTION public.insert_callcenter_ticket_from_json(json_data jsonb) RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.accept_call(json_data, false, now())
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
