-- What meters say of themselves: one set-based write for all providers.

-- Records one signal's report for its meters: power_status on, off or NULL (says nothing of power),
-- communication_status online, offline or NULL. Appends to the audit what changed.
CREATE FUNCTION oms_topology.record_meter_reports(
    p_signal_no bigint, p_meter_nos integer[], p_power_status text, p_communication_status text,
    p_metadata jsonb DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said    oms_topology.signal;
    setting oms_topology.source_setting;
    late    integer[];
    changed integer := 0;
BEGIN
    SELECT * INTO STRICT said FROM oms_topology.signal WHERE signal_no = p_signal_no;
    SELECT * INTO STRICT setting FROM oms_topology.source_setting WHERE source = said.source;
    PERFORM oms_topology.settle();
    PERFORM pg_advisory_xact_lock_shared(hashtext('oms_topology.segment'), s.segment_no)
    FROM (SELECT DISTINCT segment_no FROM public.oms_meters
          WHERE meter_no = ANY (p_meter_nos) AND segment_no IS NOT NULL ORDER BY segment_no) s;
    PERFORM FROM public.oms_meters WHERE meter_no = ANY (p_meter_nos)
    ORDER BY segment_no, position_no, meter_no FOR NO KEY UPDATE;

    IF p_communication_status IS NOT NULL AND said.time_is_sound THEN
        PERFORM oms_topology.record_communication(said, p_meter_nos, p_communication_status, setting.confidence);
    END IF;
    IF p_power_status IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO oms_topology.meter_report (meter_no, occurred_at, power_status, source, source_event_id, signal_no)
    SELECT u.meter_no, said.occurred_at, p_power_status, said.source, said.source_event_id, p_signal_no
    FROM unnest(p_meter_nos) AS u (meter_no) ORDER BY u.meter_no
    ON CONFLICT DO NOTHING;

    SELECT array_agg(m.meter_no) INTO late FROM public.oms_meters m
    WHERE m.meter_no = ANY (p_meter_nos)
      AND (NOT said.time_is_sound OR m.own_power_at >= said.occurred_at OR m.supply_lost_at >= said.occurred_at
           OR m.supply_live_at >= said.occurred_at OR m.last_power_change >= said.occurred_at);
    IF late IS NOT NULL THEN
        PERFORM oms_topology.reassess_meters(late, said.occurred_at, p_signal_no);
    END IF;

    WITH target AS (
        SELECT meter_no, oms_topology.power_of(supply_lost_at, supply_live_at, p_power_status, said.occurred_at) AS power
        FROM public.oms_meters
        WHERE meter_no = ANY (p_meter_nos) AND meter_no <> ALL (COALESCE(late, '{}'))
    ), updated AS (
        UPDATE public.oms_meters m
        SET previous_power_status = m.power_status, power_status = t.power,
            own_power_status = p_power_status, own_power_at = said.occurred_at,
            last_power_change = CASE WHEN m.power_status IS DISTINCT FROM t.power
                THEN said.occurred_at ELSE m.last_power_change END,
            last_status_change = CASE WHEN m.power_status IS DISTINCT FROM t.power
                THEN GREATEST(m.last_status_change, said.occurred_at) ELSE m.last_status_change END,
            power_signal_no = p_signal_no, updated_at = clock_timestamp()
        FROM target t WHERE m.meter_no = t.meter_no
        RETURNING m.id, m.previous_power_status AS before, m.power_status AS after
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, metadata, created_at)
        SELECT gen_random_uuid(), u.id, 'power_' || u.after, said.source,
               COALESCE(said.record_id, said.source_event_id), u.before, u.after,
               said.occurred_at, setting.confidence, p_metadata, clock_timestamp()
        FROM updated u WHERE u.before IS DISTINCT FROM u.after
        RETURNING 1
    )
    SELECT count(*) INTO changed FROM audited;
    RETURN changed;
END $$;

-- Communication is a status of its own: the newest report wins, and says nothing of power.
CREATE FUNCTION oms_topology.record_communication(
    p_said oms_topology.signal, p_meter_nos integer[], p_communication_status text, p_confidence numeric
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH target AS (
        SELECT meter_no, communication_status AS before FROM public.oms_meters
        WHERE meter_no = ANY (p_meter_nos)
          AND (last_communication IS NULL OR last_communication <= (p_said).occurred_at)
    ), updated AS (
        UPDATE public.oms_meters m
        SET communication_status = p_communication_status,
            last_communication = (p_said).occurred_at,
            last_status_change = CASE WHEN m.communication_status IS DISTINCT FROM p_communication_status
                THEN GREATEST(m.last_status_change, (p_said).occurred_at) ELSE m.last_status_change END,
            updated_at = clock_timestamp()
        FROM target t WHERE m.meter_no = t.meter_no
        RETURNING m.id, t.before
    )
    INSERT INTO oms_topology.meter_status_event
        (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
         event_timestamp, confidence_score)
    SELECT gen_random_uuid(), u.id,
           CASE WHEN p_communication_status = 'offline' THEN 'communication_lost' ELSE 'communication_restored' END,
           (p_said).source, COALESCE((p_said).record_id, (p_said).source_event_id), u.before, p_communication_status,
           (p_said).occurred_at, p_confidence
    FROM updated u
    WHERE u.before IS DISTINCT FROM p_communication_status AND u.before IN ('online', 'offline')
$$;

-- A plain UPDATE of power_status by an old service is accepted, and recorded as a report of source system.
CREATE FUNCTION oms_topology.record_foreign_status() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said_at timestamptz := clock_timestamp();
    said_no bigint;
BEGIN
    INSERT INTO oms_topology.signal
        (source, source_event_id, content_hash, device_kind, device_code, power_status, occurred_at, received_at, payload)
    VALUES ('system', gen_random_uuid()::text, '', 'meter', NEW.meter_number, COALESCE(NEW.power_status, 'unknown'),
            said_at, said_at, jsonb_build_object('power_status', NEW.power_status))
    RETURNING signal_no INTO said_no;
    IF NEW.power_status IN ('on', 'off') THEN
        INSERT INTO oms_topology.meter_report (meter_no, occurred_at, power_status, source, source_event_id, signal_no)
        VALUES (NEW.meter_no, said_at, NEW.power_status, 'system', said_no::text, said_no);
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status, event_timestamp)
        VALUES (gen_random_uuid(), NEW.id, 'power_' || NEW.power_status, 'system', said_no::text,
                OLD.power_status, NEW.power_status, said_at);
        IF NEW.power_status = 'off' THEN
            NEW.supply_lost_at := said_at;
        ELSE
            NEW.own_power_status := 'on';
            NEW.own_power_at := said_at;
        END IF;
    END IF;
    NEW.previous_power_status := OLD.power_status;
    NEW.last_power_change := CASE WHEN NEW.last_power_change IS DISTINCT FROM OLD.last_power_change
        THEN NEW.last_power_change ELSE said_at END;
    NEW.power_signal_no := said_no;
    RETURN NEW;
END $$;
CREATE TRIGGER oms_topology_foreign_status BEFORE UPDATE ON public.oms_meters
    FOR EACH ROW
    WHEN (OLD.power_status IS DISTINCT FROM NEW.power_status
          AND OLD.power_signal_no IS NOT DISTINCT FROM NEW.power_signal_no)
    EXECUTE FUNCTION oms_topology.record_foreign_status();

-- A meter that an old service inserts with a status has said it once.
CREATE FUNCTION oms_topology.read_first_status() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said_at timestamptz := LEAST(COALESCE(NEW.last_power_change, NEW.last_status_change, clock_timestamp()), clock_timestamp());
BEGIN
    NEW.last_power_change := COALESCE(NEW.last_power_change, said_at);
    IF NEW.power_status = 'on' THEN
        NEW.own_power_status := 'on';
        NEW.own_power_at := said_at;
    ELSE
        NEW.supply_lost_at := said_at;
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION oms_topology.record_first_status() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oms_topology.meter_report (meter_no, occurred_at, power_status, source, source_event_id)
    VALUES (NEW.meter_no, COALESCE(NEW.own_power_at, NEW.supply_lost_at), NEW.power_status, 'system', 'first status');
    RETURN NULL;
END $$;
CREATE TRIGGER oms_topology_first_status BEFORE INSERT ON public.oms_meters
    FOR EACH ROW WHEN (NEW.power_status IN ('on', 'off')) EXECUTE FUNCTION oms_topology.read_first_status();
CREATE TRIGGER oms_topology_first_report AFTER INSERT ON public.oms_meters
    FOR EACH ROW WHEN (NEW.power_status IN ('on', 'off')) EXECUTE FUNCTION oms_topology.record_first_status();

-- What the registry says at the upgrade is the first report of each meter.
INSERT INTO oms_topology.meter_report (meter_no, occurred_at, power_status, source, source_event_id)
SELECT meter_no, COALESCE(last_power_change, last_status_change, last_communication, created_at, '2000-01-01Z'),
       power_status, 'system', 'upgrade'
FROM public.oms_meters WHERE power_status IN ('on', 'off');

-- Deleting a meter takes nothing from the audit: its rows move to where no key binds them.
CREATE FUNCTION oms_topology.keep_audit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH moved AS (DELETE FROM ONLY public.oms_meter_status_events WHERE meter_id = OLD.id RETURNING *)
    INSERT INTO oms_topology.meter_status_event SELECT * FROM moved;
    DELETE FROM oms_topology.meter_report WHERE meter_no = OLD.meter_no;
    RETURN OLD;
END $$;
CREATE TRIGGER oms_topology_keep_audit BEFORE DELETE ON public.oms_meters
    FOR EACH ROW EXECUTE FUNCTION oms_topology.keep_audit();
