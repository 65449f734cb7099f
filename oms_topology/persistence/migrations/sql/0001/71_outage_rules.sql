-- What moves an outage: what evidence may do and what people decided, how long a momentary interruption is,
-- and what was planned. One rule each, which every writer asks.

CREATE TABLE oms_topology.outage_setting (
    is_only_row     boolean PRIMARY KEY DEFAULT true,
    momentary_limit interval NOT NULL DEFAULT '5 minutes',
    planned_limit   interval NOT NULL DEFAULT '1 day',
    CONSTRAINT outage_setting_only_row_check CHECK (is_only_row),
    CONSTRAINT outage_setting_momentary_limit_check CHECK (momentary_limit >= '0')
);
COMMENT ON COLUMN oms_topology.outage_setting.planned_limit IS
    'How long a planned outage that another service wrote lasts when it does not say.';
INSERT INTO oms_topology.outage_setting DEFAULT VALUES;
COMMENT ON TABLE oms_topology.outage_setting IS 'What an operator may set about outages; one row.';
COMMENT ON COLUMN oms_topology.outage_setting.momentary_limit IS
    'An interruption that lasted no longer is a momentary one: recorded, but nobody is told or sent out.';

-- Whether an interruption was a momentary one; an open one is an outage.
CREATE FUNCTION oms_topology.event_type_of(p_started_at timestamptz, p_ended_at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (SELECT CASE WHEN p_ended_at - p_started_at <= s.momentary_limit THEN 'momentary_interruption' ELSE 'outage' END
            FROM oms_topology.outage_setting s);
END $$;

-- The status of an outage after evidence: detected (no supply), restored, or cleared (restored, and verified).
-- What people confirmed or work on stays so until supply is back; what was none stays none.
CREATE FUNCTION oms_topology.status_after(p_current text, p_evidence_status text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN p_current = 'cancelled' OR p_evidence_status = 'detected' AND p_current IN ('confirmed', 'in_progress')
                THEN p_current ELSE p_evidence_status END
$$;

-- What people may do with an outage of a status.
CREATE FUNCTION oms_topology.allowed_actions(p_status text) RETURNS text[]
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE p_status
        WHEN 'detected' THEN ARRAY['confirm', 'assign', 'restore', 'cancel', 'estimate']
        WHEN 'confirmed' THEN ARRAY['assign', 'restore', 'cancel', 'estimate']
        WHEN 'in_progress' THEN ARRAY['assign', 'restore', 'cancel', 'estimate']
        WHEN 'restored' THEN ARRAY['cancel']
        ELSE '{}' END
$$;

CREATE TABLE oms_topology.outage_decision (
    decision_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outage_event_id uuid NOT NULL,
    made_for        uuid NOT NULL,
    device_no       integer,
    request_id      text NOT NULL,
    action          text NOT NULL,
    operator_id     text NOT NULL,
    reason          text,
    at              timestamptz NOT NULL,
    details         jsonb NOT NULL DEFAULT '{}',
    decided_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT outage_decision_key UNIQUE (made_for, request_id),
    CONSTRAINT outage_decision_action_check CHECK (action IN ('confirm', 'assign', 'restore', 'cancel', 'estimate'))
);
CREATE INDEX outage_decision_outage_idx ON oms_topology.outage_decision (outage_event_id);
CREATE INDEX outage_decision_end_idx ON oms_topology.outage_decision (device_no, at) WHERE action IN ('restore', 'cancel');
COMMENT ON TABLE oms_topology.outage_decision IS
    'What people decided about outages. A decision moves with its outage to the one that supersedes it; made_for names the first.';
COMMENT ON COLUMN oms_topology.outage_decision.device_no IS
    'The device that the outage blamed then. Restored and cancelled hold for outages of this device only.';
COMMENT ON COLUMN oms_topology.outage_decision.at IS 'When it took effect: supply was back, or the outage was found to be none.';

-- The status of an outage by evidence and by what people decided about it.
CREATE FUNCTION oms_topology.outage_status(p_outage_id uuid, p_evidence_status text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    standing text;
    is_ended boolean;
BEGIN
    SELECT CASE WHEN x.is_cancelled OR e.status = 'cancelled' THEN 'cancelled'
                WHEN x.is_assigned OR e.status = 'in_progress' THEN 'in_progress'
                WHEN x.is_confirmed OR e.status = 'confirmed' THEN 'confirmed' ELSE e.status END,
           COALESCE(x.is_restored, false)
    INTO STRICT standing, is_ended
    FROM public.oms_outage_events e
    CROSS JOIN LATERAL (
        SELECT bool_or(x.action = 'confirm') AS is_confirmed, bool_or(x.action = 'assign') AS is_assigned,
               bool_or(x.action = 'restore' AND x.device_no IS NOT DISTINCT FROM o.device_no) AS is_restored,
               bool_or(x.action = 'cancel' AND x.device_no IS NOT DISTINCT FROM o.device_no) AS is_cancelled
        FROM oms_topology.outage_decision x
        LEFT JOIN oms_topology.outage_device o ON o.outage_event_id = x.outage_event_id
        WHERE x.outage_event_id = e.id) x
    WHERE e.id = p_outage_id;
    RETURN oms_topology.status_after(
        standing, CASE WHEN is_ended AND p_evidence_status = 'detected' THEN 'restored' ELSE p_evidence_status END);
END $$;

CREATE TABLE oms_topology.planned_outage (
    planned_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_no   integer NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    reference   text NOT NULL DEFAULT '',
    operator_id text NOT NULL,
    planned_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT planned_outage_key UNIQUE (device_no, starts_at, ends_at, reference),
    CONSTRAINT planned_outage_order_check CHECK (ends_at > starts_at),
    CONSTRAINT planned_outage_device_no_fkey FOREIGN KEY (device_no)
        REFERENCES oms_topology.device (device_no) ON DELETE CASCADE
);
COMMENT ON TABLE oms_topology.planned_outage IS
    'When which device is to be without supply on purpose; a loss that begins then is no fault.';
CREATE INDEX oms_outage_events_planned_idx ON public.oms_outage_events (first_detected_at) WHERE event_type = 'planned_outage';

-- All planned intervals: ours, and the rows of type planned_outage that other services write.
CREATE VIEW oms_topology.planned_interval AS
SELECT p.device_no, p.starts_at, p.ends_at, p.reference FROM oms_topology.planned_outage p
UNION ALL
SELECT d.device_no, e.first_detected_at,
       COALESCE(e.actual_restoration_time, e.estimated_restoration_time, e.first_detected_at + s.planned_limit), e.event_id
FROM oms_topology.outage_setting s
CROSS JOIN public.oms_outage_events e
JOIN oms_topology.device d ON (d.kind, d.record_id) = (
    CASE WHEN e.dp_id IS NOT NULL THEN 'distribution_point' WHEN e.feeder_id IS NOT NULL THEN 'feeder' ELSE 'substation' END,
    COALESCE(e.dp_id, e.feeder_id, e.substation_id))
WHERE e.event_type = 'planned_outage' AND e.status <> 'cancelled'
  AND NOT EXISTS (SELECT FROM oms_topology.outage_device o WHERE o.outage_event_id = e.id);
COMMENT ON VIEW oms_topology.planned_interval IS 'When which device is to be without supply on purpose; ends_at is not part of it.';

-- The planned interval in which a device's loss began, its own or of a device above it; NULL for none.
CREATE FUNCTION oms_topology.planned_reference(p_device_no integer, p_started_at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
    SELECT p.reference
    FROM oms_topology.planned_interval p
    JOIN oms_topology.device u ON u.device_no = p.device_no
    JOIN oms_topology.device d ON d.device_no = p_device_no
    WHERE p.starts_at <= p_started_at AND p_started_at < p.ends_at
      AND (u.device_no = d.device_no
           OR u.segment_no = d.segment_no AND d.position_no BETWEEN u.position_no AND u.last_position_no)
    ORDER BY p.starts_at, p.reference LIMIT 1);
END $$;

-- planned_outage, momentary_interruption or outage.
CREATE FUNCTION oms_topology.outage_event_type(p_device_no integer, p_started_at timestamptz, p_ended_at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE WHEN oms_topology.planned_reference(p_device_no, p_started_at) IS NOT NULL THEN 'planned_outage'
                ELSE oms_topology.event_type_of(p_started_at, p_ended_at) END;
END $$;

-- Whether an outage that evidence no longer supports must stay, since people decided about it. Says so once.
CREATE FUNCTION oms_topology.keep_for_people(p_outage_id uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    standing text;
BEGIN
    SELECT e.status INTO standing FROM public.oms_outage_events e
    WHERE e.id = p_outage_id AND (e.status IN ('confirmed', 'in_progress') OR EXISTS (
        SELECT FROM oms_topology.outage_decision x WHERE x.outage_event_id = e.id AND x.action <> 'estimate'));
    IF standing IS NULL THEN
        RETURN false;
    END IF;
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp")
    SELECT p_outage_id, 'unsupported', standing, 'No report supports it any more; it stays, since people decided about it.',
           'system', clock_timestamp()
    WHERE NOT EXISTS (SELECT FROM public.oms_event_timeline t
                      WHERE t.outage_event_id = p_outage_id AND t.event_type = 'unsupported');
    RETURN true;
END $$;

-- Whether people ended an outage around a device at or after an instant, or while what they ended still reports
-- itself dead: then the newest report alone does not tell which outages stand.
CREATE FUNCTION oms_topology.ended_by_people(p_device oms_topology.device, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM oms_topology.device_state s
        JOIN oms_topology.outage_decision x ON x.device_no = s.device_no AND x.action IN ('restore', 'cancel')
        WHERE s.segment_no = p_device.segment_no
          AND (p_device.position_no BETWEEN s.position_no AND s.last_position_no
               OR s.position_no BETWEEN p_device.position_no AND p_device.last_position_no)
          AND (x.at >= p_at OR s.is_dead AND x.at >= s.since));
END $$;

-- Gives what people decided about a withdrawn outage to the one that stands in its place.
CREATE FUNCTION oms_topology.inherit_decisions(p_outage_id uuid, p_successor_id uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    moved   text;
    evident text;
BEGIN
    WITH given AS (
        UPDATE oms_topology.outage_decision SET outage_event_id = p_successor_id
        WHERE outage_event_id = p_outage_id AND p_successor_id IS NOT NULL
        RETURNING action
    )
    SELECT string_agg(DISTINCT g.action, ', ' ORDER BY g.action) INTO moved FROM given g;
    IF moved IS NULL THEN
        RETURN;
    END IF;
    SELECT CASE WHEN e.status IN ('restored', 'cleared') THEN e.status ELSE 'detected' END INTO evident
    FROM public.oms_outage_events e WHERE e.id = p_successor_id;
    UPDATE public.oms_outage_events
    SET status = oms_topology.outage_status(id, evident), last_updated_at = clock_timestamp() WHERE id = p_successor_id;
    INSERT INTO public.oms_event_timeline (outage_event_id, event_type, status, description, source, "timestamp", metadata)
    SELECT e.id, 'inherited', e.status, 'Takes over what people decided about the outage it supersedes: ' || moved || '.',
           'system', clock_timestamp(), jsonb_build_object('superseded', p_outage_id)
    FROM public.oms_outage_events e WHERE e.id = p_successor_id;
END $$;
