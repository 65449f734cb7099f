-- The life of an outage as people lead it: confirm, assign, restore, cancel, estimate; what is planned; who is
-- still dark. Each is one call and one transaction; the same request twice changes nothing. What cannot be
-- done is refused: OMT01 no such outage, OMT02 not in its status, OMT03 the request itself is wrong.

CREATE TABLE oms_topology.outage_estimate (
    outage_event_id uuid PRIMARY KEY,
    estimated_at    timestamptz NOT NULL,
    earliest_at     timestamptz,
    latest_at       timestamptz,
    like_outages    integer,
    basis           text NOT NULL,
    is_by_person    boolean NOT NULL DEFAULT false,
    made_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT outage_estimate_order_check CHECK (earliest_at <= estimated_at AND estimated_at <= latest_at),
    CONSTRAINT outage_estimate_outage_event_id_fkey FOREIGN KEY (outage_event_id)
        REFERENCES public.oms_outage_events (id) ON DELETE CASCADE
);
COMMENT ON TABLE oms_topology.outage_estimate IS
    'What oms_outage_events.estimated_restoration_time rests on: the 80 % interval and the history behind it, or a person''s word.';

CREATE TYPE oms_topology.decision_result AS (outage_event_id uuid, event_id text, status text, is_new boolean);

CREATE FUNCTION oms_topology.check_decision(p_operator_id text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_operator_id IS NULL OR p_operator_id !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE =
            'The operator needs an id of at most 64 letters, digits, dots, dashes or underscores, and no name or address.';
    ELSIF p_at > clock_timestamp() + interval '5 minutes' OR p_at < '2000-01-01Z' THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE = 'The time lies before 2000 or in the future.';
    END IF;
END $$;

-- The outage of a readable id or a uuid, one that was withdrawn included.
CREATE FUNCTION oms_topology.find_outage(p_outage text) RETURNS uuid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_id uuid;
BEGIN
    SELECT e.id INTO found_id FROM public.oms_outage_events e WHERE e.event_id = p_outage;
    IF found_id IS NULL AND p_outage ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
        SELECT x.id INTO found_id FROM (
            SELECT e.id, 1 AS rank FROM public.oms_outage_events e WHERE e.id = p_outage::uuid
            UNION ALL
            SELECT r.outage_event_id, 2 FROM oms_topology.outage_revision r WHERE r.outage_event_id = p_outage::uuid) x
        ORDER BY x.rank LIMIT 1;
    END IF;
    IF found_id IS NULL THEN
        SELECT r.outage_event_id INTO found_id FROM oms_topology.outage_revision r
        WHERE r.outage ->> 'event_id' = p_outage ORDER BY r.revision_no DESC LIMIT 1;
    END IF;
    IF found_id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT01', MESSAGE = format('There is no outage %s.', p_outage);
    END IF;
    RETURN found_id;
END $$;
CREATE INDEX outage_revision_event_idx ON oms_topology.outage_revision ((outage ->> 'event_id'));

CREATE VIEW oms_topology.withdrawn_outage AS
SELECT r.revision_no, r.outage_event_id, r.outage ->> 'event_id' AS event_id,
       (r.outage ->> 'first_detected_at')::timestamptz AS started_at, r.outage ->> 'description' AS description,
       r.revised_at AS withdrawn_at, r.reason, r.superseded_by
FROM oms_topology.outage_revision r;
COMMENT ON VIEW oms_topology.withdrawn_outage IS 'Outages that later signals withdrew, each with the one in its place.';

-- What an outage blames: a device, or the one meter that is out alone.
CREATE VIEW oms_topology.outage_blame AS
SELECT o.outage_event_id, COALESCE(d.kind, 'meter') AS kind, COALESCE(d.code, m.meter_number::text) AS code,
       COALESCE(d.segment_no, m.segment_no) AS segment_no
FROM oms_topology.outage_device o
LEFT JOIN oms_topology.device d ON d.device_no = o.device_no
LEFT JOIN public.oms_meters m ON m.meter_no = o.meter_no;
COMMENT ON VIEW oms_topology.outage_blame IS
    'What each outage blames, by kind and code: a device, or a single meter by its number (NULL once it is deleted).';

-- The meters at or below what an outage blames, each by what feeds it now.
CREATE FUNCTION oms_topology.outage_meters(p_outage_id uuid) RETURNS TABLE (meter_no integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.meter_no
    FROM oms_topology.outage_device o
    JOIN oms_topology.device d ON d.device_no = o.device_no
    JOIN public.oms_meters m ON m.segment_no = d.segment_no AND m.position_no BETWEEN d.position_no AND d.last_position_no
    WHERE o.outage_event_id = p_outage_id
    UNION ALL
    SELECT o.meter_no FROM oms_topology.outage_device o WHERE o.outage_event_id = p_outage_id AND o.meter_no IS NOT NULL
$$;

-- Locks an outage against everybody who writes it: its supply tree first, as reports do, then its row.
CREATE FUNCTION oms_topology.lock_outage(p_outage_id uuid) RETURNS public.oms_outage_events
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    segment integer;
    locked  public.oms_outage_events;
BEGIN
    PERFORM oms_topology.settle();
    SELECT b.segment_no INTO segment FROM oms_topology.outage_blame b WHERE b.outage_event_id = p_outage_id;
    PERFORM oms_topology.lock_segments(segment);
    SELECT * INTO locked FROM public.oms_outage_events WHERE id = p_outage_id FOR NO KEY UPDATE;
    RETURN locked;
END $$;

CREATE FUNCTION oms_topology.refuse_decision(p_outage_id uuid, p_outage public.oms_outage_events, p_action text) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    withdrawn record;
BEGIN
    IF p_outage.id IS NULL THEN
        SELECT r.outage ->> 'event_id' AS event_id, e.event_id AS successor INTO withdrawn
        FROM oms_topology.outage_revision r LEFT JOIN public.oms_outage_events e ON e.id = r.superseded_by
        WHERE r.outage_event_id = p_outage_id ORDER BY r.revision_no DESC LIMIT 1;
        RAISE EXCEPTION USING ERRCODE = 'OMT02', MESSAGE = format(
            'Outage %s was withdrawn%s.', withdrawn.event_id, COALESCE('; in its place stands ' || withdrawn.successor, ''));
    ELSIF p_action <> ALL (oms_topology.allowed_actions(p_outage.status)) THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT02', MESSAGE = format(
            'Outage %s is %s; %s is not possible then, but %s.', p_outage.event_id, replace(p_outage.status, '_', ' '), p_action,
            COALESCE(NULLIF(array_to_string(oms_topology.allowed_actions(p_outage.status), ', '), ''), 'nothing'));
    END IF;
END $$;

-- Whether a request asks for what holds already.
CREATE FUNCTION oms_topology.is_decided(p_outage public.oms_outage_events, p_action text, p_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p_action
        WHEN 'confirm' THEN p_outage.status = 'confirmed'
        WHEN 'cancel' THEN p_outage.status = 'cancelled'
        WHEN 'restore' THEN p_outage.status IN ('restored', 'cleared')
                            AND (p_at IS NULL OR p_at = p_outage.actual_restoration_time)
        ELSE false END
$$;

-- When a decision takes effect: as asked, else now; within the outage's life.
CREATE FUNCTION oms_topology.decision_time(p_outage public.oms_outage_events, p_action text, p_at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_at <= p_outage.first_detected_at AND p_action IN ('restore', 'cancel') THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE = format(
            'Outage %s began at %s; it cannot be over at %s.', p_outage.event_id,
            to_char(p_outage.first_detected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
            to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'));
    END IF;
    -- What is over already ends no second time: its device may be dead again meanwhile.
    RETURN CASE WHEN p_action = 'cancel' AND p_outage.actual_restoration_time IS NOT NULL THEN p_outage.actual_restoration_time
                ELSE COALESCE(p_at, GREATEST(clock_timestamp(), p_outage.first_detected_at + interval '1 microsecond')) END;
END $$;

CREATE FUNCTION oms_topology.note_decision(p_decision oms_topology.outage_decision, p_event_type text, p_words text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
    SELECT e.id, p_event_type, e.status, p_words || ' by ' || p_decision.operator_id || COALESCE(': ' || p_decision.reason, '') || '.',
           'operator', p_decision.at,
           jsonb_build_object('operator_id', p_decision.operator_id, 'decision_no', p_decision.decision_no) || p_decision.details
    FROM public.oms_outage_events e WHERE e.id = p_decision.outage_event_id
$$;

-- The crews that were assigned here have nothing left to do at an outage that is over; those that another service
-- sent are that service's.
CREATE FUNCTION oms_topology.release_crews(p_outage_id uuid, p_status text, p_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.oms_crew_assignments c SET status = p_status, completed_at = GREATEST(p_at, c.assigned_at)
    WHERE c.outage_event_id = p_outage_id AND c.completed_at IS NULL
      AND lower(c.status) NOT IN ('completed', 'cancelled', 'declined')
      AND EXISTS (SELECT FROM oms_topology.outage_decision x
                  WHERE x.outage_event_id = c.outage_event_id AND x.action = 'assign'
                    AND x.details ->> 'crew_id' = c.crew_id AND x.at = c.assigned_at)
$$;

-- Evidence that supply is back may turn out wrong, so crews stay until the meters have confirmed it.
CREATE FUNCTION oms_topology.release_crews_of_cleared() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM oms_topology.release_crews(NEW.id, 'completed', clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER oms_topology_release_crews AFTER UPDATE OF status ON public.oms_outage_events
    FOR EACH ROW WHEN (NEW.status = 'cleared' AND OLD.status <> 'cleared')
    EXECUTE FUNCTION oms_topology.release_crews_of_cleared();

-- Ends an outage as people said, and lets what it covered and is still dead stand for itself.
CREATE FUNCTION oms_topology.end_by_decision(p_decision oms_topology.outage_decision) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    device oms_topology.device;
    ending oms_topology.outage_device;
BEGIN
    UPDATE oms_topology.outage_device SET ended_at = p_decision.at
    WHERE outage_event_id = p_decision.outage_event_id
      AND (ended_at IS NULL OR p_decision.action = 'restore')
    RETURNING * INTO ending;
    UPDATE public.oms_outage_events e
    SET status = oms_topology.outage_status(e.id, 'restored'),
        actual_restoration_time = CASE p_decision.action WHEN 'restore' THEN p_decision.at ELSE e.actual_restoration_time END,
        event_type = CASE
            WHEN p_decision.action = 'cancel' THEN e.event_type
            WHEN ending.device_no IS NOT NULL THEN oms_topology.outage_event_type(ending.device_no, ending.started_at, p_decision.at)
            WHEN e.event_type IN ('outage', 'momentary_interruption') THEN oms_topology.event_type_of(e.first_detected_at, p_decision.at)
            ELSE e.event_type END,
        last_updated_at = clock_timestamp()
    WHERE e.id = p_decision.outage_event_id;
    PERFORM oms_topology.release_crews(
        p_decision.outage_event_id, CASE p_decision.action WHEN 'restore' THEN 'completed' ELSE 'cancelled' END, p_decision.at);
    IF ending.device_no IS NOT NULL THEN
        SELECT * INTO STRICT device FROM oms_topology.device WHERE device_no = ending.device_no;
        PERFORM oms_topology.revise_outages(device, NULL);
    END IF;
END $$;

CREATE FUNCTION oms_topology.apply_decision(p_decision oms_topology.outage_decision) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given jsonb := p_decision.details;
BEGIN
    CASE p_decision.action
        WHEN 'confirm', 'assign' THEN
            UPDATE public.oms_outage_events
            SET status = oms_topology.outage_status(id, 'detected'), last_updated_at = clock_timestamp()
            WHERE id = p_decision.outage_event_id;
        WHEN 'restore', 'cancel' THEN
            PERFORM oms_topology.end_by_decision(p_decision);
        WHEN 'estimate' THEN
            UPDATE public.oms_outage_events
            SET estimated_restoration_time = (given ->> 'estimated_at')::timestamptz, last_updated_at = clock_timestamp()
            WHERE id = p_decision.outage_event_id;
            INSERT INTO oms_topology.outage_estimate AS t (outage_event_id, estimated_at, basis, is_by_person)
            VALUES (p_decision.outage_event_id, (given ->> 'estimated_at')::timestamptz, 'a person''s estimate', true)
            ON CONFLICT (outage_event_id) DO UPDATE
            SET estimated_at = excluded.estimated_at, earliest_at = NULL, latest_at = NULL, like_outages = NULL,
                basis = excluded.basis, is_by_person = true, made_at = excluded.made_at;
    END CASE;
    IF p_decision.action = 'assign' THEN
        INSERT INTO public.oms_crew_assignments (outage_event_id, crew_id, assignment_type, status, assigned_at)
        VALUES (p_decision.outage_event_id, given ->> 'crew_id', given ->> 'assignment_type', 'assigned', p_decision.at);
    END IF;
    CASE p_decision.action
        WHEN 'confirm' THEN PERFORM oms_topology.note_decision(p_decision, 'confirmed', 'Confirmed');
        WHEN 'assign' THEN PERFORM oms_topology.note_decision(
            p_decision, 'crew_dispatched', format('Crew %s assigned (%s)', given ->> 'crew_id', given ->> 'assignment_type'));
        WHEN 'restore' THEN PERFORM oms_topology.note_decision(p_decision, 'restored', 'Restored');
        WHEN 'cancel' THEN PERFORM oms_topology.note_decision(p_decision, 'cancelled', 'Cancelled as none');
        WHEN 'estimate' THEN PERFORM oms_topology.note_decision(p_decision, 'estimated', 'Restoration estimated');
    END CASE;
END $$;

-- One decision of a person about an outage. Without a request id, the same content is the same request; of
-- estimates the newest counts, so only a repetition of that one is the same.
CREATE FUNCTION oms_topology.decide(
    p_action text, p_outage text, p_operator_id text, p_reason text, p_at timestamptz, p_request_id text, p_details jsonb DEFAULT '{}'
) RETURNS oms_topology.decision_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked_id uuid := oms_topology.find_outage(p_outage);
    outage   public.oms_outage_events;
    request  text := NULLIF(btrim(p_request_id), '');
    known    oms_topology.outage_decision;
    decision oms_topology.outage_decision;
BEGIN
    PERFORM oms_topology.check_decision(p_operator_id, p_at);
    outage := oms_topology.lock_outage(asked_id);
    SELECT * INTO known FROM oms_topology.outage_decision x
    WHERE x.made_for = asked_id AND CASE
        WHEN request IS NOT NULL THEN x.request_id = request
        ELSE x.action = p_action AND x.details = p_details AND (p_at IS NULL OR x.at = p_at)
             AND (p_action <> 'estimate' OR NOT EXISTS (
                 SELECT FROM oms_topology.outage_decision n
                 WHERE n.outage_event_id = x.outage_event_id AND n.action = 'estimate' AND n.decision_no > x.decision_no)) END
    ORDER BY x.decision_no DESC LIMIT 1;
    IF known.action <> p_action OR known.details <> p_details THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE = format(
            'The request id %s stands for another decision about outage %s.', request, p_outage);
    END IF;
    IF known.decision_no IS NULL AND outage.id IS NOT NULL AND oms_topology.is_decided(outage, p_action, p_at) THEN
        RETURN (outage.id, outage.event_id::text, outage.status::text, false);
    ELSIF known.decision_no IS NULL THEN
        PERFORM oms_topology.refuse_decision(asked_id, outage, p_action);
        INSERT INTO oms_topology.outage_decision
            (outage_event_id, made_for, device_no, request_id, action, operator_id, reason, at, details)
        VALUES (asked_id, asked_id, (SELECT o.device_no FROM oms_topology.outage_device o WHERE o.outage_event_id = asked_id),
                COALESCE(request, 'content:' || gen_random_uuid()), p_action, p_operator_id,
                NULLIF(btrim(p_reason, E' .\n\t'), ''), oms_topology.decision_time(outage, p_action, p_at), p_details)
        RETURNING * INTO decision;
        PERFORM oms_topology.apply_decision(decision);
    END IF;
    SELECT * INTO outage FROM public.oms_outage_events e WHERE e.id = COALESCE(known.outage_event_id, asked_id);
    RETURN (COALESCE(outage.id, asked_id), COALESCE(outage.event_id, p_outage)::text, outage.status::text, known.decision_no IS NULL);
END $$;

CREATE FUNCTION oms_topology.confirm_outage(
    p_outage text, p_operator_id text, p_reason text DEFAULT NULL, p_at timestamptz DEFAULT NULL, p_request_id text DEFAULT NULL
) RETURNS oms_topology.decision_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.decide('confirm', p_outage, p_operator_id, p_reason, p_at, p_request_id)
$$;

CREATE FUNCTION oms_topology.assign_crew(
    p_outage text, p_crew_id text, p_assignment_type text, p_operator_id text, p_reason text DEFAULT NULL,
    p_at timestamptz DEFAULT NULL, p_request_id text DEFAULT NULL
) RETURNS oms_topology.decision_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF COALESCE(p_crew_id, '') !~ '^\S.{0,63}$' OR COALESCE(p_assignment_type, '') !~ '^\S.{0,31}$' THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE =
            'An assignment needs a crew id of at most 64 characters and a type of at most 32.';
    END IF;
    RETURN oms_topology.decide('assign', p_outage, p_operator_id, p_reason, p_at, p_request_id,
                               jsonb_build_object('crew_id', p_crew_id, 'assignment_type', p_assignment_type));
END $$;

CREATE FUNCTION oms_topology.restore_outage(
    p_outage text, p_operator_id text, p_reason text DEFAULT NULL, p_at timestamptz DEFAULT NULL, p_request_id text DEFAULT NULL
) RETURNS oms_topology.decision_result
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT oms_topology.decide('restore', p_outage, p_operator_id, p_reason, p_at, p_request_id)
$$;

CREATE FUNCTION oms_topology.cancel_outage(
    p_outage text, p_operator_id text, p_reason text, p_at timestamptz DEFAULT NULL, p_request_id text DEFAULT NULL
) RETURNS oms_topology.decision_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF COALESCE(p_reason, '') !~ '\S' THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE = 'Say why the outage was none.';
    END IF;
    RETURN oms_topology.decide('cancel', p_outage, p_operator_id, p_reason, p_at, p_request_id);
END $$;

CREATE FUNCTION oms_topology.estimate_outage(
    p_outage text, p_estimated_at timestamptz, p_operator_id text, p_reason text DEFAULT NULL, p_request_id text DEFAULT NULL
) RETURNS oms_topology.decision_result
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_estimated_at IS NULL OR NOT p_estimated_at BETWEEN '2000-01-01Z' AND '2200-01-01Z' THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE = 'Say when supply will be back.';
    END IF;
    RETURN oms_topology.decide('estimate', p_outage, p_operator_id, p_reason, NULL, p_request_id, jsonb_build_object(
        'estimated_at', to_char(p_estimated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')));
END $$;

-- Plans an outage of a device; what began there in that time is a planned one from now on. Twice is once.
CREATE FUNCTION oms_topology.plan_outage(
    p_device_no integer, p_starts_at timestamptz, p_ends_at timestamptz, p_reference text, p_operator_id text,
    OUT planned_no bigint, OUT is_new boolean, OUT retyped integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    segment integer;
BEGIN
    PERFORM oms_topology.check_decision(p_operator_id, NULL);
    IF p_starts_at IS NULL OR p_ends_at IS NULL OR p_starts_at >= p_ends_at THEN
        RAISE EXCEPTION USING ERRCODE = 'OMT03', MESSAGE = 'A planned outage needs a start and a later end.';
    END IF;
    PERFORM oms_topology.settle();
    SELECT d.segment_no INTO segment FROM oms_topology.device d WHERE d.device_no = p_device_no;
    PERFORM oms_topology.lock_segments(segment);
    INSERT INTO oms_topology.planned_outage (device_no, starts_at, ends_at, reference, operator_id)
    VALUES (p_device_no, p_starts_at, p_ends_at, COALESCE(p_reference, ''), p_operator_id)
    ON CONFLICT ON CONSTRAINT planned_outage_key DO NOTHING
    RETURNING planned_outage.planned_no INTO plan_outage.planned_no;
    is_new := planned_no IS NOT NULL;
    retyped := 0;
    IF is_new THEN
        retyped := oms_topology.retype_outages(p_device_no, p_starts_at, p_ends_at, p_operator_id);
        INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at) SELECT segment, p_starts_at, '-infinity' WHERE segment IS NOT NULL;
    ELSE
        SELECT p.planned_no INTO plan_outage.planned_no FROM oms_topology.planned_outage p
        WHERE (p.device_no, p.starts_at, p.ends_at, p.reference) = (p_device_no, p_starts_at, p_ends_at, COALESCE(p_reference, ''));
    END IF;
END $$;

-- Gives the outages that began below a device within a time the type that they have now.
CREATE FUNCTION oms_topology.retype_outages(
    p_device_no integer, p_starts_at timestamptz, p_ends_at timestamptz, p_operator_id text
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH concerned AS (
        SELECT e.id, oms_topology.outage_event_type(o.device_no, o.started_at, o.ended_at) AS event_type
        FROM oms_topology.device u
        JOIN oms_topology.device d ON d.device_no = u.device_no
            OR d.segment_no = u.segment_no AND d.position_no BETWEEN u.position_no AND u.last_position_no
        JOIN oms_topology.outage_device o ON o.device_no = d.device_no
        JOIN public.oms_outage_events e ON e.id = o.outage_event_id
        WHERE u.device_no = p_device_no AND o.started_at >= p_starts_at AND o.started_at < p_ends_at
        ORDER BY e.id FOR NO KEY UPDATE OF e
    ), retyped AS (
        UPDATE public.oms_outage_events e SET event_type = c.event_type, last_updated_at = clock_timestamp()
        FROM concerned c WHERE e.id = c.id AND e.event_type <> c.event_type
        RETURNING e.id, e.status, e.event_type
    ), noted AS (
        INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
        SELECT r.id, 'retyped', r.status, 'Counts as ' || replace(r.event_type, '_', ' ') || ' now: what is planned has changed.',
               'operator', clock_timestamp(), jsonb_build_object('operator_id', p_operator_id)
        FROM retyped r RETURNING 1
    )
    SELECT count(*)::integer FROM noted
$$;

-- Takes a plan back before or after its time; tells whether it was there.
CREATE FUNCTION oms_topology.withdraw_plan(p_planned_no bigint, p_operator_id text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plan    oms_topology.planned_outage;
    segment integer;
BEGIN
    PERFORM oms_topology.check_decision(p_operator_id, NULL);
    PERFORM oms_topology.settle();
    SELECT d.segment_no INTO segment FROM oms_topology.planned_outage p
    JOIN oms_topology.device d ON d.device_no = p.device_no WHERE p.planned_no = p_planned_no;
    PERFORM oms_topology.lock_segments(segment);
    DELETE FROM oms_topology.planned_outage WHERE planned_no = p_planned_no RETURNING * INTO plan;
    IF plan.planned_no IS NULL THEN
        RETURN false;
    END IF;
    PERFORM oms_topology.retype_outages(plan.device_no, plan.starts_at, plan.ends_at, p_operator_id);
    INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at) SELECT segment, plan.starts_at, '-infinity' WHERE segment IS NOT NULL;
    RETURN true;
END $$;

-- Whether a meter's owner must not be without power: 1 critical to 4 low, the most critical that any mapping says.
CREATE FUNCTION oms_topology.criticality_of(p_meter_id uuid) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT min(s.priority) FROM public.network_substation_meters s WHERE s.meter_id = p_meter_id
$$;

-- The meters at or below what an outage blames whose own newest report says that they have no power, critical ones first:
-- whom to call or visit before an outage is taken for over.
CREATE FUNCTION oms_topology.still_dark(p_outage_id uuid)
RETURNS TABLE (meter_number text, customer_id text, criticality integer, distribution_point text, feeder text, since timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH device AS (
        SELECT d.segment_no, d.position_no, d.last_position_no
        FROM oms_topology.outage_device o JOIN oms_topology.device d ON d.device_no = o.device_no
        WHERE o.outage_event_id = p_outage_id
    ), below AS (
        SELECT x.meter_no FROM oms_topology.outage_meters(p_outage_id) x
        UNION
        SELECT a.meter_no FROM device d
        JOIN oms_topology.alternate_supply a
            ON a.segment_no = d.segment_no AND a.position_no BETWEEN d.position_no AND d.last_position_no
    )
    SELECT m.meter_number, c.customer_id, oms_topology.criticality_of(m.id), p.dp_id, f.feeder_id, m.own_power_at
    FROM below b
    JOIN public.oms_meters m ON m.meter_no = b.meter_no
    LEFT JOIN public.oms_customers c ON c.id = m.customer_id
    LEFT JOIN public.network_distribution_points p ON p.id = m.dp_id
    LEFT JOIN public.network_feeders f ON f.id = m.feeder_id
    WHERE m.own_power_status = 'off'
    ORDER BY 3 NULLS LAST, m.own_power_at, m.meter_number COLLATE "C"
$$;

-- How many meters at or below what an outage blames belong to critical customers.
CREATE FUNCTION oms_topology.outage_critical_meters(p_outage_id uuid) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*)::integer
    FROM oms_topology.outage_meters(p_outage_id) x
    JOIN public.oms_meters m ON m.meter_no = x.meter_no AND m.status = 'active'
    WHERE EXISTS (SELECT FROM public.network_substation_meters s WHERE s.meter_id = m.id AND s.priority = 1)
$$;

-- What the first report behind an outage gave as its reason; NULL where none did.
CREATE FUNCTION oms_topology.outage_cause(p_outage_id uuid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT lower(btrim(v.reason))
    FROM public.oms_event_sources s
    JOIN public.scada_events v ON v.id = CASE
        WHEN s.source_event_id ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN s.source_event_id::uuid END
    WHERE s.outage_event_id = p_outage_id AND s.source_type = 'scada' AND v.reason ~ '\S'
    ORDER BY s.detected_at, s.source_event_id LIMIT 1
$$;

-- Whether storm mode was on; the switches are written down in 88.
CREATE FUNCTION oms_topology.was_storm(p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN COALESCE((SELECT c.is_active FROM oms_topology.storm_change c WHERE c.changed_at <= p_at
                     ORDER BY c.changed_at DESC, c.change_no DESC LIMIT 1), false);
END $$;

-- What outages of the past were like and how long they lasted, for estimates: those that are over, no momentary or
-- planned ones.
CREATE FUNCTION oms_topology.past_outages(p_since timestamptz, p_limit integer)
RETURNS TABLE (outage_event_id uuid, device_kind text, cause text, customers integer, is_storm boolean,
               started_at timestamptz, ended_at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.id, b.kind, oms_topology.outage_cause(e.id), COALESCE(e.affected_customers_count, 0),
           oms_topology.was_storm(e.first_detected_at), e.first_detected_at, e.actual_restoration_time
    FROM public.oms_outage_events e
    LEFT JOIN oms_topology.outage_blame b ON b.outage_event_id = e.id
    WHERE e.status IN ('restored', 'cleared') AND e.event_type = 'outage'
      AND e.actual_restoration_time > e.first_detected_at AND e.first_detected_at >= p_since
    ORDER BY e.first_detected_at DESC, e.event_id LIMIT p_limit
$$;

-- The open outages for which no person has said when supply will be back, with the end of the plan they are part of.
CREATE FUNCTION oms_topology.outages_to_estimate()
RETURNS TABLE (outage_event_id uuid, device_kind text, cause text, customers integer, is_storm boolean,
               started_at timestamptz, planned_until timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT e.id, CASE WHEN o.meter_no IS NOT NULL THEN 'meter' ELSE d.kind END, oms_topology.outage_cause(e.id), COALESCE(e.affected_customers_count, 0),
           oms_topology.was_storm(e.first_detected_at), e.first_detected_at,
           (SELECT max(p.ends_at) FROM oms_topology.planned_interval p
            JOIN oms_topology.device u ON u.device_no = p.device_no
            WHERE e.event_type = 'planned_outage' AND p.starts_at <= e.first_detected_at AND e.first_detected_at < p.ends_at
              AND (u.device_no = d.device_no
                   OR u.segment_no = d.segment_no AND d.position_no BETWEEN u.position_no AND u.last_position_no))
    FROM public.oms_outage_events e
    LEFT JOIN oms_topology.outage_device o ON o.outage_event_id = e.id
    LEFT JOIN oms_topology.device d ON d.device_no = o.device_no
    WHERE e.status IN ('detected', 'confirmed', 'in_progress')
      AND (e.event_type = 'outage' OR e.event_type = 'planned_outage' AND o.outage_event_id IS NOT NULL)
      AND NOT EXISTS (SELECT FROM oms_topology.outage_estimate t WHERE t.outage_event_id = e.id AND t.is_by_person)
    ORDER BY e.first_detected_at, e.id
$$;

-- Writes estimates of when supply will be back; NULL takes one back. A person's own estimate stands, and so does a
-- time that another service wrote. Returns how many outages changed.
CREATE FUNCTION oms_topology.write_estimates(
    p_outage_ids uuid[], p_estimated_at timestamptz[], p_earliest_at timestamptz[], p_latest_at timestamptz[],
    p_like_outages integer[], p_bases text[]
) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH given AS (
        SELECT g.* FROM unnest(p_outage_ids, p_estimated_at, p_earliest_at, p_latest_at, p_like_outages, p_bases)
            AS g (id, estimated_at, earliest_at, latest_at, like_outages, basis)
    ), locked AS (
        SELECT e.id, e.estimated_restoration_time, t.estimated_at AS ours
        FROM public.oms_outage_events e
        LEFT JOIN oms_topology.outage_estimate t ON t.outage_event_id = e.id
        WHERE e.id = ANY (p_outage_ids) AND e.status IN ('detected', 'confirmed', 'in_progress')
          AND NOT COALESCE(t.is_by_person, false) AND e.estimated_restoration_time IS NOT DISTINCT FROM t.estimated_at
        ORDER BY e.id FOR NO KEY UPDATE OF e
    ), changed AS (
        UPDATE public.oms_outage_events e
        SET estimated_restoration_time = g.estimated_at, last_updated_at = clock_timestamp()
        FROM given g JOIN locked l ON l.id = g.id
        WHERE e.id = g.id AND e.estimated_restoration_time IS DISTINCT FROM g.estimated_at
        RETURNING e.id
    ), removed AS (
        DELETE FROM oms_topology.outage_estimate t USING given g, locked l
        WHERE t.outage_event_id = g.id AND l.id = g.id AND g.estimated_at IS NULL
    ), written AS (
        INSERT INTO oms_topology.outage_estimate AS t
            (outage_event_id, estimated_at, earliest_at, latest_at, like_outages, basis)
        SELECT g.id, g.estimated_at, g.earliest_at, g.latest_at, g.like_outages, g.basis
        FROM given g JOIN locked l ON l.id = g.id WHERE g.estimated_at IS NOT NULL
        ON CONFLICT (outage_event_id) DO UPDATE
        SET estimated_at = excluded.estimated_at, earliest_at = excluded.earliest_at, latest_at = excluded.latest_at,
            like_outages = excluded.like_outages, basis = excluded.basis, made_at = excluded.made_at
        WHERE (t.estimated_at, t.earliest_at, t.latest_at, t.like_outages, t.basis) IS DISTINCT FROM
              (excluded.estimated_at, excluded.earliest_at, excluded.latest_at, excluded.like_outages, excluded.basis)
    )
    SELECT count(*)::integer FROM changed
$$;
