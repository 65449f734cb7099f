-- What meters say of themselves: one set-based write for all providers.

-- The beginning of the ids of many new rows, to be followed by six hexadecimal digits: as random as needed, and
-- in the order of time, so that the rows are neighbours in the index of their key.
CREATE FUNCTION oms_topology.id_prefix() RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    digits text := right(gen_random_uuid()::text, 12);
BEGIN
    RETURN lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || left(digits, 3) || '8' || right(digits, 9);
END $$;

-- One meter's part in a signal.
CREATE TYPE oms_topology.meter_said AS (
    round_no integer, meter_no integer, signal_no bigint, source text, source_event_id text, content_hash text,
    record_id text, power_status text, communication_status text, occurred_at timestamptz, is_sound boolean,
    reliability smallint, confidence numeric, metadata jsonb
);

-- Pairs of a signal and a meter as what each meter said. A meter's first in order of time is its round 1,
-- its next round 2 ..., so that one statement writes a whole round.
CREATE FUNCTION oms_topology.meters_said(
    p_signal_nos bigint[], p_meter_nos integer[], p_communication_statuses text[], p_metadata jsonb[]
) RETURNS oms_topology.meter_said[]
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(row_number() OVER (PARTITION BY u.meter_no ORDER BY s.occurred_at, c.reliability,
                                      s.source_event_id COLLATE "C", s.content_hash COLLATE "C"),
                   u.meter_no, s.signal_no, s.source, s.source_event_id, s.content_hash, s.record_id,
                   NULLIF(s.power_status, 'unknown'), u.communication_status, s.occurred_at, s.time_is_sound,
                   c.reliability, c.confidence, u.metadata)::oms_topology.meter_said
        FROM unnest(p_signal_nos, p_meter_nos, p_communication_statuses, p_metadata)
             AS u (signal_no, meter_no, communication_status, metadata)
        JOIN oms_topology.signal s ON s.signal_no = u.signal_no
        JOIN oms_topology.source_setting c ON c.source = s.source);
END $$;

-- Records what signals say of their meters, in one set-based write: pairs of signal and meter, with the
-- communication status that each implies (or NULL) and what the audit keeps beside it. The signals' own
-- power_status counts. Appends to the audit what changed.
CREATE FUNCTION oms_topology.record_meter_reports(
    p_signal_nos bigint[], p_meter_nos integer[], p_communication_statuses text[], p_metadata jsonb[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said       oms_topology.meter_said[];
    rounds     integer;
    undecided  record;
    late       integer[] := '{}';
    late_heard integer[] := '{}';
BEGIN
    PERFORM oms_topology.settle();
    PERFORM pg_advisory_xact_lock_shared(hashtext('oms_topology.segment'), s.segment_no)
    FROM (SELECT DISTINCT segment_no FROM public.oms_meters
          WHERE meter_no = ANY (p_meter_nos) AND segment_no IS NOT NULL ORDER BY segment_no) s;
    PERFORM FROM public.oms_meters WHERE meter_no = ANY (p_meter_nos)
    ORDER BY segment_no, position_no, meter_no FOR NO KEY UPDATE;

    said := oms_topology.meters_said(p_signal_nos, p_meter_nos, p_communication_statuses, p_metadata);
    INSERT INTO oms_topology.meter_report
        (meter_no, occurred_at, power_status, communication_status, source, source_event_id, signal_no)
    SELECT w.meter_no, w.occurred_at, w.power_status, w.communication_status, w.source, w.source_event_id, w.signal_no
    FROM unnest(said) w WHERE w.power_status IS NOT NULL OR w.communication_status IS NOT NULL
    ORDER BY w.meter_no, w.occurred_at;
    rounds := cardinality(said);
    IF rounds > 1 THEN
        SELECT max(w.round_no) INTO rounds FROM unnest(said) w;
    END IF;
    FOR round IN 1 .. rounds LOOP
        SELECT * INTO undecided FROM oms_topology.record_round(
            ARRAY(SELECT w FROM unnest(said) w WHERE w.round_no = round));
        late := late || undecided.late;
        late_heard := late_heard || undecided.late_heard;
    END LOOP;
    IF late_heard <> '{}' THEN
        PERFORM oms_topology.reassess_communication(w.meter_nos, w.first_at)
        FROM (SELECT array_agg(DISTINCT w.meter_no) AS meter_nos, min(w.occurred_at) AS first_at
              FROM unnest(said) w WHERE w.communication_status IS NOT NULL AND w.meter_no = ANY (late_heard)) w;
    END IF;
    IF late <> '{}' THEN
        PERFORM oms_topology.reassess_meters(w.meter_nos, w.first_at, w.signal_no)
        FROM (SELECT array_agg(DISTINCT w.meter_no) AS meter_nos, min(w.occurred_at) AS first_at, max(w.signal_no) AS signal_no
              FROM unnest(said) w WHERE w.power_status IS NOT NULL AND w.meter_no = ANY (late)) w;
    END IF;
END $$;

-- One report each of different meters whose rows are locked. Gives the meters whose rows alone cannot decide
-- their power, and those where they cannot decide their communication: the report came late, or without a
-- sound time, or gives way to what is older (an old service's "off").
CREATE FUNCTION oms_topology.record_round(p_said oms_topology.meter_said[], OUT late integer[], OUT late_heard integer[])
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ids text := oms_topology.id_prefix();
BEGIN
    PERFORM set_config('oms_topology.logs_status', 'on', true);
    WITH target AS MATERIALIZED (
        SELECT w.*, m.id, m.power_status AS power_before, m.communication_status AS communication_before,
               COALESCE(w.power_status IS NOT NULL AND w.is_sound AND NOT (w.source = 'system' AND w.power_status = 'off')
                        AND (m.own_power_at IS NULL OR m.own_power_at < w.occurred_at)
                        AND (m.supply_lost_at IS NULL OR m.supply_lost_at < w.occurred_at)
                        AND (m.supply_live_at IS NULL OR m.supply_live_at < w.occurred_at)
                        AND (m.last_power_change IS NULL OR m.last_power_change < w.occurred_at), false) AS sets_power,
               COALESCE(w.communication_status IS NOT NULL AND w.is_sound
                        AND (m.last_communication IS NULL OR m.last_communication < w.occurred_at), false) AS sets_communication,
               oms_topology.power_of(m.supply_lost_at, m.supply_live_at, w.power_status, w.occurred_at) AS power
        FROM unnest(p_said) WITH ORDINALITY w JOIN public.oms_meters m ON m.meter_no = w.meter_no
    ), updated AS (
        UPDATE public.oms_meters m
        SET previous_power_status = CASE WHEN t.sets_power THEN m.power_status ELSE m.previous_power_status END,
            power_status = CASE WHEN t.sets_power THEN t.power ELSE m.power_status END,
            own_power_status = CASE WHEN t.sets_power THEN t.power_status ELSE m.own_power_status END,
            own_power_at = CASE WHEN t.sets_power THEN t.occurred_at ELSE m.own_power_at END,
            last_power_change = CASE WHEN t.sets_power AND m.power_status IS DISTINCT FROM t.power
                THEN t.occurred_at ELSE m.last_power_change END,
            power_signal_no = CASE WHEN t.sets_power THEN NULLIF(t.signal_no, m.power_signal_no) ELSE m.power_signal_no END,
            communication_status = CASE WHEN t.sets_communication THEN t.communication_status ELSE m.communication_status END,
            last_communication = CASE WHEN t.sets_communication THEN t.occurred_at ELSE m.last_communication END,
            last_status_change = CASE
                WHEN t.sets_power AND m.power_status IS DISTINCT FROM t.power
                     OR t.sets_communication AND m.communication_status IS DISTINCT FROM t.communication_status
                THEN GREATEST(m.last_status_change, t.occurred_at) ELSE m.last_status_change END,
            updated_at = clock_timestamp()
        FROM target t WHERE m.meter_no = t.meter_no AND (t.sets_power OR t.sets_communication)
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, metadata, created_at)
        SELECT (ids || lpad(to_hex(2 * t.ordinality + e.is_second), 6, '0'))::uuid,
               t.id, e.event_type, t.source, COALESCE(t.record_id, t.source_event_id), e.before, e.after, t.occurred_at, t.confidence, e.metadata,
               clock_timestamp()
        FROM target t
        CROSS JOIN LATERAL (
            SELECT 0 AS is_second, 'power_' || t.power AS event_type, t.power_before AS before, t.power AS after, t.metadata
            WHERE t.sets_power AND t.power_before IS DISTINCT FROM t.power
            UNION ALL
            SELECT 1, CASE t.communication_status WHEN 'offline' THEN 'communication_lost' ELSE 'communication_restored' END,
                   t.communication_before, t.communication_status, NULL
            WHERE t.sets_communication AND t.communication_before IS DISTINCT FROM t.communication_status
              AND t.communication_before IN ('online', 'offline')) e
    ), logged AS (
        INSERT INTO oms_topology.change (kind, meter_nos)
        SELECT 'status', array_agg(t.meter_no) FROM target t
        WHERE t.sets_power AND t.power_before IS DISTINCT FROM t.power
           OR t.sets_communication AND t.communication_before IS DISTINCT FROM t.communication_status
        HAVING count(*) > 0
    )
    SELECT COALESCE(array_agg(t.meter_no) FILTER (WHERE t.power_status IS NOT NULL AND NOT t.sets_power), '{}'),
           COALESCE(array_agg(t.meter_no) FILTER (WHERE t.communication_status IS NOT NULL AND NOT t.sets_communication), '{}')
    INTO late, late_heard FROM target t;
    PERFORM set_config('oms_topology.logs_status', 'off', true);
END $$;

-- The reports about reaching each meter that stand: of several at one instant the most reliable source's,
-- then the greatest id; those without a sound time only until the first sound one.
CREATE VIEW oms_topology.meter_heard AS
SELECT DISTINCT ON (r.meter_no, r.occurred_at)
       r.meter_no, r.occurred_at, r.communication_status, r.source, r.signal_no,
       COALESCE(g.record_id, r.source_event_id) AS source_event_id, c.confidence
FROM oms_topology.meter_report r
JOIN oms_topology.signal g ON g.signal_no = r.signal_no
JOIN oms_topology.source_setting c ON c.source = r.source
WHERE r.communication_status IS NOT NULL
  AND (g.time_is_sound OR NOT EXISTS (
      SELECT FROM oms_topology.meter_report q JOIN oms_topology.signal s ON s.signal_no = q.signal_no
      WHERE q.meter_no = r.meter_no AND q.occurred_at <= r.occurred_at
        AND q.communication_status IS NOT NULL AND s.time_is_sound))
ORDER BY r.meter_no, r.occurred_at, c.reliability DESC, r.source_event_id COLLATE "C" DESC, g.content_hash COLLATE "C" DESC;
COMMENT ON VIEW oms_topology.meter_heard IS
    'What stands of all that was said of reaching each meter: one report an instant.';

-- Since when the communication status holds that the reports give a meter.
CREATE FUNCTION oms_topology.communication_since(p_meter_no integer) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(h.occurred_at)
    FROM (SELECT h.*, lag(h.communication_status) OVER (ORDER BY h.occurred_at) AS before
          FROM oms_topology.meter_heard h WHERE h.meter_no = p_meter_no) h
    WHERE h.communication_status IS DISTINCT FROM h.before
$$;

-- Judges anew, from p_from on, whether the given meters can be reached. What an old service wrote into
-- last_communication itself stands until something newer is heard.
CREATE FUNCTION oms_topology.reassess_communication(p_meter_nos integer[], p_from timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ids     text := oms_topology.id_prefix();
    changed integer[];
BEGIN
    WITH heard AS (
        SELECT u.meter_no, h.*, lag(h.status, 1, e.communication_status) OVER (PARTITION BY u.meter_no ORDER BY h.at) AS before
        FROM unnest(p_meter_nos) AS u (meter_no)
        CROSS JOIN LATERAL (
            SELECT h.occurred_at AS at, h.communication_status AS status, h.source, h.source_event_id, h.confidence
            FROM oms_topology.meter_heard h WHERE h.meter_no = u.meter_no AND h.occurred_at >= p_from OFFSET 0) h
        LEFT JOIN LATERAL (
            SELECT h.communication_status FROM oms_topology.meter_heard h
            WHERE h.meter_no = u.meter_no AND h.occurred_at < p_from ORDER BY h.occurred_at DESC LIMIT 1) e ON true
    ), present AS (
        SELECT DISTINCT ON (h.meter_no) h.*,
               max(h.at) FILTER (WHERE h.status IS DISTINCT FROM h.before) OVER (PARTITION BY h.meter_no) AS changed_at
        FROM heard h ORDER BY h.meter_no, h.at DESC
    ), target AS MATERIALIZED (
        SELECT p.*, m.id, m.communication_status AS stood
        FROM present p JOIN public.oms_meters m ON m.meter_no = p.meter_no
        WHERE m.last_communication IS NULL OR m.last_communication <= p.at
           OR EXISTS (SELECT FROM oms_topology.meter_report r
                      WHERE r.meter_no = m.meter_no AND r.occurred_at = m.last_communication AND r.communication_status IS NOT NULL)
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, created_at)
        SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, t.id, CASE t.status WHEN 'offline' THEN 'communication_lost' ELSE 'communication_restored' END,
               t.source, t.source_event_id, t.stood, t.status, t.at, t.confidence, clock_timestamp()
        FROM target t WHERE t.stood IS DISTINCT FROM t.status AND t.stood IN ('online', 'offline')
    ), updated AS (
        UPDATE public.oms_meters m
        SET communication_status = t.status, last_communication = t.at,
            last_status_change = CASE
                WHEN t.changed_at IS NOT NULL THEN GREATEST(m.last_power_change, t.changed_at)
                WHEN m.last_status_change < p_from OR m.last_status_change = m.last_power_change THEN m.last_status_change
                ELSE GREATEST(m.last_power_change, oms_topology.communication_since(m.meter_no)) END,
            updated_at = clock_timestamp()
        FROM target t WHERE m.meter_no = t.meter_no
    )
    SELECT array_agg(t.meter_no) INTO changed FROM target t WHERE t.stood IS DISTINCT FROM t.status;
    IF changed IS NOT NULL THEN
        PERFORM oms_topology.log_status_change(changed);
    END IF;
END $$;

-- What truly held of reaching each meter, in the order in which things happened.
CREATE VIEW oms_topology.meter_communication_history AS
SELECT m.id AS meter_id, e.occurred_at AS event_timestamp, e.before AS previous_status,
       e.communication_status AS new_status, e.source AS source_type, e.source_event_id
FROM (SELECT h.*, lag(h.communication_status, 1, 'unknown') OVER (PARTITION BY h.meter_no ORDER BY h.occurred_at) AS before
      FROM oms_topology.meter_heard h) e
JOIN public.oms_meters m ON m.meter_no = e.meter_no
WHERE e.before IS DISTINCT FROM e.communication_status;
COMMENT ON VIEW oms_topology.meter_communication_history IS
    'Changes of communication status of each meter in event-time order, from what was said; the same whatever the order of arrival.';

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
    PERFORM oms_topology.log_status_change(ARRAY[NEW.meter_no]);
    RETURN NEW;
END $$;
CREATE TRIGGER oms_topology_foreign_status BEFORE UPDATE ON public.oms_meters
    FOR EACH ROW
    WHEN (OLD.power_signal_no IS NOT DISTINCT FROM NEW.power_signal_no
          AND OLD.power_status IS DISTINCT FROM NEW.power_status)
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
