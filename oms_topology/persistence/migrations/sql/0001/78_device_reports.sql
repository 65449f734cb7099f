-- What a device says of itself, carried to every meter below it: one set-based write.

CREATE TYPE oms_topology.check_result AS (
    total_meters integer, offline_meters integer, online_meters integer, unknown_meters integer,
    affected_customers integer, restored_meters integer, outage_event_id uuid, outage_event_ids uuid[]
);

-- The newest report of a device, after p_signal_no has joined its history.
CREATE FUNCTION oms_topology.refresh_device_state(p_device oms_topology.device) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH report AS (
        SELECT r.*, lag(r.is_dead) OVER (ORDER BY r.at) AS was_dead
        FROM oms_topology.device_reports(ARRAY[p_device.device_no], '-infinity') r
    ), newest AS (
        SELECT * FROM report ORDER BY at DESC LIMIT 1
    ), turned AS (
        SELECT max(at) AS since FROM report WHERE is_dead IS DISTINCT FROM was_dead
    )
    INSERT INTO oms_topology.device_state AS s
        (device_no, segment_no, position_no, last_position_no, depth, is_dead, reported_at, since, signal_no)
    SELECT p_device.device_no, p_device.segment_no, p_device.position_no, p_device.last_position_no, p_device.depth,
           n.is_dead, n.at, t.since, n.signal_no
    FROM newest n, turned t
    ON CONFLICT (device_no) DO UPDATE
    SET is_dead = excluded.is_dead, reported_at = excluded.reported_at,
        since = excluded.since, signal_no = excluded.signal_no
$$;

-- Takes the locks of supply trees and of the trees that share meters with them, in order. From then on settle() waits
-- for nobody in this transaction: who holds a tree and waits for the topology would wait for who waits for the tree.
CREATE FUNCTION oms_topology.lock_segments(VARIADIC p_segment_nos integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.segment'), s.segment_no)
    FROM (SELECT u.segment_no FROM unnest(p_segment_nos) AS u (segment_no)
          UNION SELECT normal_segment_no FROM oms_topology.alternate_supply WHERE segment_no = ANY (p_segment_nos)
          UNION SELECT segment_no FROM oms_topology.alternate_supply WHERE normal_segment_no = ANY (p_segment_nos)
          ORDER BY 1) s
    WHERE s.segment_no IS NOT NULL;
    PERFORM set_config('oms_topology.has_segments', 'on', true);
END $$;

-- A loss of supply, carried in one pass to the meters whose row alone decides: they hang below on one supply, and
-- nothing newer is known of them. Writes their audit, and returns how many lost supply, how many customers they
-- are, and how many meters below are left over, to be decided otherwise. In plpgsql, and with plain values of the
-- columns' own types, so that neither planning nor unpacking nor a cast is paid per event or row.
CREATE FUNCTION oms_topology.carry_loss(
    p_device oms_topology.device, p_said oms_topology.signal, p_confidence numeric,
    OUT offline integer, OUT customers integer, OUT left_over integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET work_mem = '64MB' AS $$
DECLARE
    v_segment  integer := p_device.segment_no;
    v_first    integer := p_device.position_no;
    v_last     integer := p_device.last_position_no;
    v_at       timestamptz := p_said.occurred_at;
    v_signal   bigint := p_said.signal_no;
    v_event    uuid := p_said.record_id::uuid;
    v_event_id varchar(100) := p_said.record_id;
    v_id_start text := left(p_said.record_id, 24);
    v_trust    numeric(5,2) := p_confidence;
    v_now      timestamptz := clock_timestamp();
    below      integer;
BEGIN
    -- From the index alone, while its pages are known to be visible; settle() moves no meter until we commit.
    SELECT count(*) INTO below FROM public.oms_meters m
    WHERE m.segment_no = v_segment AND m.position_no BETWEEN v_first AND v_last;

    WITH carried AS (
        UPDATE public.oms_meters m
        SET previous_power_status = m.power_status, power_status = 'off', supply_lost_at = v_at,
            last_power_change = CASE WHEN m.power_status = 'off' THEN m.last_power_change ELSE v_at END,
            last_status_change = CASE WHEN m.power_status = 'off'
                THEN m.last_status_change ELSE GREATEST(m.last_status_change, v_at) END,
            power_signal_no = v_signal, updated_at = v_now
        WHERE m.segment_no = v_segment AND m.position_no BETWEEN v_first AND v_last
          AND NOT m.has_alternates
          AND (m.own_power_at IS NULL OR m.own_power_at < v_at)
          AND (m.last_power_change IS NULL OR m.last_power_change < v_at)
          AND (m.supply_lost_at IS NULL OR m.supply_lost_at < v_at)
        RETURNING m.id, m.meter_no, m.customer_id, m.previous_power_status AS before,
            -- unique by event and meter, at a fraction of the cost of a random one
            (v_id_start || (100000000000 + m.meter_no))::uuid AS row_id
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, created_at)
        SELECT c.row_id, c.id, 'power_off', 'scada', v_event_id, c.before, 'off', v_at, v_trust, v_now
        FROM carried c WHERE c.before IS DISTINCT FROM 'off'
    ), affected AS (
        INSERT INTO oms_topology.scada_event_affected_meter
            (id, scada_event_id, meter_id, meter_status_before, meter_status_after, checked_at)
        SELECT c.row_id, v_event, c.id, c.before, 'off', v_now FROM carried c
    ), logged AS (
        INSERT INTO oms_topology.change (kind, meter_nos)
        SELECT 'status', array_agg(c.meter_no) FROM carried c WHERE c.before IS DISTINCT FROM 'off' HAVING count(*) > 0
    )
    SELECT count(*), count(DISTINCT c.customer_id) + count(*) FILTER (WHERE c.customer_id IS NULL), below - count(*)
    INTO offline, customers, left_over FROM carried c;
END $$;

-- A return of supply, carried likewise to the meters below but the spared ones; returns how many regained it.
CREATE FUNCTION oms_topology.carry_return(
    p_device oms_topology.device, p_said oms_topology.signal, p_spared integer[], p_confidence numeric
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET work_mem = '64MB' AS $$
DECLARE
    v_segment  integer := p_device.segment_no;
    v_first    integer := p_device.position_no;
    v_last     integer := p_device.last_position_no;
    v_at       timestamptz := p_said.occurred_at;
    v_signal   bigint := p_said.signal_no;
    v_event    uuid := p_said.record_id::uuid;
    v_event_id varchar(100) := p_said.record_id;
    v_id_start text := left(p_said.record_id, 24);
    v_trust    numeric(5,2) := p_confidence;
    v_on       varchar(20) := 'on';
    v_off      varchar(20) := 'off';
    v_now      timestamptz := clock_timestamp();
    restored   integer;
BEGIN
    WITH carried AS (
        UPDATE public.oms_meters m
        SET previous_power_status = m.power_status,
            power_status = CASE WHEN m.own_power_status = 'off' THEN v_off ELSE v_on END,
            supply_lost_at = NULL, supply_live_at = v_at,
            last_power_change = CASE WHEN m.power_status = CASE WHEN m.own_power_status = 'off' THEN v_off ELSE v_on END
                THEN m.last_power_change ELSE v_at END,
            last_status_change = CASE WHEN m.power_status = CASE WHEN m.own_power_status = 'off' THEN v_off ELSE v_on END
                THEN m.last_status_change ELSE GREATEST(m.last_status_change, v_at) END,
            power_signal_no = v_signal, updated_at = v_now
        WHERE m.segment_no = v_segment AND m.position_no BETWEEN v_first AND v_last
          AND NOT m.has_alternates
          AND (m.own_power_at IS NULL OR m.own_power_at < v_at)
          AND (m.last_power_change IS NULL OR m.last_power_change < v_at)
          AND (m.supply_lost_at IS NULL OR m.supply_lost_at < v_at)
          AND (m.supply_lost_at IS NOT NULL OR m.supply_live_at IS NULL OR m.power_status IS DISTINCT FROM 'on')
          AND (p_spared IS NULL OR m.meter_no <> ALL (p_spared))
        RETURNING m.id, m.meter_no, m.previous_power_status AS before, m.power_status AS after,
            (v_id_start || (100000000000 + m.meter_no))::uuid AS row_id
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, created_at)
        SELECT c.row_id, c.id, 'power_' || c.after, 'scada', v_event_id, c.before, c.after, v_at, v_trust, v_now
        FROM carried c WHERE c.before IS DISTINCT FROM c.after
    ), affected AS (
        INSERT INTO oms_topology.scada_event_affected_meter
            (id, scada_event_id, meter_id, meter_status_before, meter_status_after, checked_at)
        SELECT c.row_id, v_event, c.id, c.before, c.after, v_now
        FROM carried c WHERE c.before = 'off' AND c.after = 'on'
    ), logged AS (
        INSERT INTO oms_topology.change (kind, meter_nos)
        SELECT 'status', array_agg(c.meter_no) FROM carried c WHERE c.before IS DISTINCT FROM c.after HAVING count(*) > 0
    )
    SELECT count(*) FILTER (WHERE c.before = 'off' AND c.after = 'on') INTO restored FROM carried c;
    RETURN restored;
END $$;

-- The meters below a device that need more than their row: alternate supplies, own reports not older
-- than the report, dead devices in between, or everything when the report came late. What carry_loss() has
-- written is not among them.
CREATE FUNCTION oms_topology.hard_meters(
    p_device oms_topology.device, p_said oms_topology.signal, p_is_late boolean, p_left_over integer DEFAULT NULL)
RETURNS integer[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    hard integer[];
    dead integer[] := '{}';
BEGIN
    IF p_said.power_status = 'on' THEN
        SELECT COALESCE(array_agg(m.meter_no), '{}') INTO dead
        FROM oms_topology.device_state s
        JOIN public.oms_meters m
            ON m.segment_no = s.segment_no AND m.position_no BETWEEN s.position_no AND s.last_position_no
        WHERE s.segment_no = p_device.segment_no AND s.is_dead
          AND s.position_no > p_device.position_no AND s.position_no <= p_device.last_position_no;
    END IF;
    SELECT array_agg(x.meter_no) INTO hard FROM (
        SELECT m.meter_no FROM public.oms_meters m
        WHERE p_left_over IS DISTINCT FROM 0 AND m.segment_no = p_device.segment_no
          AND m.position_no BETWEEN p_device.position_no AND p_device.last_position_no
          AND (p_left_over IS NULL OR m.power_signal_no IS DISTINCT FROM p_said.signal_no)
          AND (p_is_late OR m.has_alternates OR m.own_power_at >= p_said.occurred_at
               OR m.last_power_change >= p_said.occurred_at OR m.supply_lost_at >= p_said.occurred_at)
        UNION
        SELECT a.meter_no FROM oms_topology.alternate_supply a
        WHERE a.segment_no = p_device.segment_no
          AND a.position_no BETWEEN p_device.position_no AND p_device.last_position_no
        UNION
        SELECT unnest(dead)) x;
    RETURN hard;
END $$;

-- Carries one recorded report of a device to meters and outages. The caller holds no locks yet.
CREATE FUNCTION oms_topology.apply_device_report(p_signal_no bigint) RETURNS oms_topology.check_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said       oms_topology.signal;
    device     oms_topology.device;
    known      oms_topology.device_state;
    is_dead    boolean;
    is_late    boolean;
    hard       integer[];
    confidence numeric;
    offline    integer;
    restored   integer := 0;
    customers  integer;
    left_over  integer;
    counted    oms_topology.check_result;
BEGIN
    SELECT * INTO STRICT said FROM oms_topology.signal WHERE signal_no = p_signal_no;
    SELECT * INTO STRICT device FROM oms_topology.device WHERE device_no = said.device_no;
    SELECT s.confidence INTO confidence FROM oms_topology.source_setting s WHERE s.source = said.source;
    is_dead := said.power_status = 'off';
    SELECT * INTO known FROM oms_topology.device_state WHERE device_no = device.device_no;
    is_late := NOT said.time_is_sound OR COALESCE(known.reported_at >= said.occurred_at, false) OR EXISTS (
        SELECT FROM oms_topology.device_state s
        WHERE s.segment_no = device.segment_no AND s.device_no <> device.device_no
          AND s.reported_at >= said.occurred_at
          AND (device.position_no BETWEEN s.position_no AND s.last_position_no
               OR s.position_no BETWEEN device.position_no AND device.last_position_no));
    IF is_late THEN
        PERFORM oms_topology.refresh_device_state(device);
    ELSE
        INSERT INTO oms_topology.device_state
            (device_no, segment_no, position_no, last_position_no, depth, is_dead, reported_at, since, signal_no)
        VALUES (device.device_no, device.segment_no, device.position_no, device.last_position_no, device.depth,
                is_dead, said.occurred_at, said.occurred_at, p_signal_no)
        ON CONFLICT (device_no) DO UPDATE
        SET since = CASE WHEN device_state.is_dead = excluded.is_dead THEN device_state.since ELSE excluded.since END,
            is_dead = excluded.is_dead, reported_at = excluded.reported_at, signal_no = excluded.signal_no;
    END IF;

    IF is_late THEN
        hard := oms_topology.hard_meters(device, said, true);
    ELSIF is_dead THEN
        SELECT * INTO offline, customers, left_over FROM oms_topology.carry_loss(device, said, confidence);
        hard := oms_topology.hard_meters(device, said, false, left_over);
    ELSE
        hard := oms_topology.hard_meters(device, said, false);
        restored := oms_topology.carry_return(device, said, hard, confidence);
    END IF;
    IF hard IS NOT NULL THEN
        PERFORM oms_topology.reassess_meters(hard, said.occurred_at, p_signal_no);
    END IF;
    IF hard IS NULL AND is_dead THEN
        counted.total_meters := offline;
        counted.offline_meters := offline;
        counted.online_meters := 0;
        counted.unknown_meters := 0;
        counted.affected_customers := customers;
        counted.restored_meters := 0;
    ELSE
        counted := oms_topology.count_below(device, said, hard, restored);
    END IF;
    is_late := is_late OR oms_topology.ended_by_people(device, said.occurred_at);
    IF is_late THEN
        counted.outage_event_ids := oms_topology.revise_outages(device, p_signal_no);
    ELSE
        counted.outage_event_ids := oms_topology.track_outage(
            device, is_dead, said.occurred_at,
            CASE WHEN hard IS NULL THEN counted.affected_customers
                 WHEN is_dead THEN oms_topology.customers_lost(device.device_no, said.occurred_at) END, p_signal_no);
    END IF;
    IF hard IS NOT NULL THEN
        PERFORM oms_topology.recount_outages(hard, said.occurred_at);
    END IF;
    counted.outage_event_id := counted.outage_event_ids[1];
    IF is_late OR cardinality(counted.outage_event_ids) > 1 THEN
        counted.outage_event_id := oms_topology.outage_of_report(device, is_dead, said.occurred_at);
        SELECT array_agg(o.outage_event_id ORDER BY o.started_at, o.device_no) INTO counted.outage_event_ids
        FROM oms_topology.outage_device o
        WHERE o.outage_event_id = ANY (counted.outage_event_ids || counted.outage_event_id);
    END IF;
    RETURN counted;
END $$;

-- Counts the meters below a device after a report that more than their rows had to decide, and lists
-- the hard ones among the affected.
CREATE FUNCTION oms_topology.count_below(
    p_device oms_topology.device, p_said oms_topology.signal, p_hard integer[], p_restored integer
) RETURNS oms_topology.check_result
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted oms_topology.check_result;
    back    integer;
BEGIN
    WITH listed AS (
        INSERT INTO oms_topology.scada_event_affected_meter
            (id, scada_event_id, meter_id, meter_status_before, meter_status_after)
        SELECT gen_random_uuid(), p_said.record_id::uuid, m.id, m.previous_power_status, m.power_status
        FROM public.oms_meters m
        WHERE m.meter_no = ANY (p_hard)
          AND CASE p_said.power_status WHEN 'off' THEN m.supply_lost_at IS NOT NULL AND m.power_status = 'off'
                   ELSE m.previous_power_status = 'off' AND m.power_status = 'on' END
        RETURNING meter_status_after
    )
    SELECT count(*) FILTER (WHERE meter_status_after = 'on') INTO back FROM listed;
    WITH below AS (
        SELECT m.* FROM public.oms_meters m
        WHERE m.segment_no = p_device.segment_no
          AND m.position_no BETWEEN p_device.position_no AND p_device.last_position_no
        UNION ALL
        SELECT m.* FROM public.oms_meters m
        WHERE m.meter_no = ANY (p_hard) AND m.supply_lost_at IS NOT NULL
          AND NOT COALESCE(m.segment_no = p_device.segment_no
                           AND m.position_no BETWEEN p_device.position_no AND p_device.last_position_no, false)
    )
    SELECT count(*),
           count(*) FILTER (WHERE b.power_status = 'off'),
           count(*) FILTER (WHERE b.power_status <> 'off' AND b.own_power_status = 'on' AND b.own_power_at > p_said.occurred_at),
           count(*) FILTER (WHERE b.power_status <> 'off'
                              AND NOT COALESCE(b.own_power_status = 'on' AND b.own_power_at > p_said.occurred_at, false)),
           count(DISTINCT b.customer_id) FILTER (WHERE b.power_status = 'off')
               + count(*) FILTER (WHERE b.power_status = 'off' AND b.customer_id IS NULL)
    INTO counted.total_meters, counted.offline_meters, counted.online_meters, counted.unknown_meters,
         counted.affected_customers
    FROM below b;
    counted.restored_meters := p_restored + COALESCE(back, 0);
    RETURN counted;
END $$;
