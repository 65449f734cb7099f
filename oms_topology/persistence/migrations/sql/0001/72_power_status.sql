-- What a meter's power status is, as a function of the set of reports and their times.
--
-- A supply path is dead when some device on it last said "de-energised" and no device below that one
-- has said "energised" since; the meter's own report is the lowest of them. A meter has lost supply
-- when all its paths are dead. Its own "off" holds until its own "on". So the order of arrival is
-- of no account, and every row of oms_meters carries what its own next decision needs.

CREATE FUNCTION oms_topology.power_of(
    p_supply_lost_at timestamptz, p_supply_live_at timestamptz, p_own_power_status text, p_own_power_at timestamptz
) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN p_supply_lost_at IS NOT NULL
             AND NOT (COALESCE(p_own_power_status, '') = 'on' AND p_own_power_at > p_supply_lost_at) THEN 'off'
        WHEN p_own_power_status = 'off' THEN 'off'
        WHEN p_own_power_status = 'on' OR p_supply_live_at IS NOT NULL THEN 'on'
        ELSE 'unknown' END
$$;

-- The reports of each device that stand from p_from on, and the last one before; of several at one
-- instant the greatest id stands; reports without a sound time count only where there is no other.
CREATE FUNCTION oms_topology.device_reports(p_device_nos integer[], p_from timestamptz)
RETURNS TABLE (device_no integer, at timestamptz, is_dead boolean, signal_no bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (r.device_no, r.occurred_at) r.device_no, r.occurred_at, r.power_status = 'off', r.signal_no
    FROM unnest(p_device_nos) AS wanted (device_no)
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM oms_topology.signal g
                       WHERE g.device_no = wanted.device_no AND g.power_status IN ('on', 'off')
                         AND g.time_is_sound) AS has_sound) s
    CROSS JOIN LATERAL (
        (SELECT g.device_no, g.occurred_at, g.power_status, g.signal_no, g.source_event_id, g.content_hash
         FROM oms_topology.signal g
         WHERE g.device_no = wanted.device_no AND g.power_status IN ('on', 'off')
           AND g.time_is_sound = s.has_sound AND g.occurred_at >= p_from)
        UNION ALL
        (SELECT g.device_no, g.occurred_at, g.power_status, g.signal_no, g.source_event_id, g.content_hash
         FROM oms_topology.signal g
         WHERE g.device_no = wanted.device_no AND g.power_status IN ('on', 'off')
           AND g.time_is_sound = s.has_sound AND g.occurred_at < p_from
         ORDER BY g.occurred_at DESC, g.source_event_id DESC, g.content_hash DESC LIMIT 1)) r
    ORDER BY r.device_no, r.occurred_at, r.source_event_id DESC, r.content_hash DESC
$$;

-- Each meter's power status just before p_from and at every instant from then on at which a report of
-- its own or of a device above it speaks; ordered by nothing.
CREATE FUNCTION oms_topology.power_history(p_meter_nos integer[], p_from timestamptz)
RETURNS TABLE (meter_no integer, at timestamptz, power_status text, supply_lost_at timestamptz,
               supply_live_at timestamptz, own_power_status text, own_power_at timestamptz, signal_no bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH supply AS (
        SELECT m.meter_no, m.segment_no, m.position_no
        FROM public.oms_meters m
        WHERE m.meter_no = ANY (p_meter_nos) AND m.position_no IS NOT NULL
        UNION
        SELECT a.meter_no, a.segment_no, a.position_no
        FROM oms_topology.alternate_supply a
        WHERE a.meter_no = ANY (p_meter_nos) AND a.position_no IS NOT NULL
    ), feed AS (  -- meters with the same supplies share all but their own reports
        SELECT u.meter_no, s.feed
        FROM unnest(p_meter_nos) AS u (meter_no)
        LEFT JOIN (SELECT meter_no, array_agg(segment_no::bigint * 4294967296 + position_no ORDER BY segment_no, position_no) AS feed
                   FROM supply GROUP BY meter_no) s ON s.meter_no = u.meter_no
    ), place AS (
        SELECT DISTINCT f.feed, (p.place >> 32)::integer AS segment_no, (p.place & 4294967295)::integer AS position_no
        FROM (SELECT DISTINCT feed FROM feed WHERE feed IS NOT NULL) f CROSS JOIN LATERAL unnest(f.feed) AS p (place)
    ), reporter AS (
        SELECT p.feed, p.segment_no, p.position_no, s.device_no, s.depth
        FROM place p
        JOIN oms_topology.device_state s
            ON s.segment_no = p.segment_no AND p.position_no BETWEEN s.position_no AND s.last_position_no
    ), report AS MATERIALIZED (
        SELECT * FROM oms_topology.device_reports(
            (SELECT COALESCE(array_agg(DISTINCT device_no), '{}') FROM reporter), p_from)
    ), own AS MATERIALIZED (
        SELECT r.meter_no, r.occurred_at AS at, r.power_status, r.source, r.source_event_id, r.signal_no, s.reliability
        FROM oms_topology.meter_report r
        LEFT JOIN oms_topology.source_setting s ON s.source = r.source
        WHERE r.meter_no = ANY (p_meter_nos)
    ), instant AS (
        SELECT x.feed, x.at, max(x.signal_no) AS signal_no
        FROM (SELECT r.feed, d.at, d.signal_no FROM reporter r JOIN report d ON d.device_no = r.device_no
              WHERE d.at >= p_from
              UNION ALL
              SELECT f.feed, o.at, NULL FROM own o JOIN feed f ON f.meter_no = o.meter_no WHERE o.at >= p_from
              UNION ALL
              SELECT DISTINCT f.feed, p_from - interval '1 microsecond', NULL::bigint FROM feed f) x
        GROUP BY x.feed, x.at
    ), latest AS (  -- what each device on each path last said, as of each instant
        SELECT DISTINCT ON (i.feed, i.at, r.segment_no, r.position_no, r.device_no)
               i.feed, i.at, r.segment_no, r.position_no, r.depth, d.at AS said_at, d.is_dead
        FROM instant i
        JOIN reporter r ON r.feed = i.feed
        JOIN report d ON d.device_no = r.device_no AND d.at <= i.at
        ORDER BY i.feed, i.at, r.segment_no, r.position_no, r.device_no, d.at DESC
    ), judged AS (
        SELECT l.*, max(l.said_at) FILTER (WHERE NOT l.is_dead) OVER (
                   PARTITION BY l.feed, l.at, l.segment_no, l.position_no ORDER BY l.depth DESC
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS live_below_at
        FROM latest l
    ), path AS (
        SELECT i.feed, i.at, p.segment_no, p.position_no,
               max(j.said_at) FILTER (WHERE j.is_dead AND (j.live_below_at IS NULL OR j.live_below_at <= j.said_at)) AS lost_at,
               max(j.said_at) FILTER (WHERE NOT j.is_dead) AS live_at
        FROM instant i
        JOIN place p ON p.feed = i.feed
        LEFT JOIN judged j ON j.feed = i.feed AND j.at = i.at
            AND j.segment_no = p.segment_no AND j.position_no = p.position_no
        GROUP BY i.feed, i.at, p.segment_no, p.position_no
    ), fed AS (
        SELECT i.feed, i.at, i.signal_no,
               CASE WHEN bool_and(p.lost_at IS NOT NULL) THEN max(p.lost_at) END AS lost_at,
               max(p.live_at) AS live_at
        FROM instant i LEFT JOIN path p ON p.feed = i.feed AND p.at = i.at
        GROUP BY i.feed, i.at, i.signal_no
    ), heard AS (
        SELECT f.meter_no, e.at, e.lost_at, e.live_at, e.signal_no,
               o.power_status AS own_power_status, o.at AS own_at, o.signal_no AS own_signal_no, q.at AS system_off_at
        FROM feed f
        JOIN fed e ON e.feed IS NOT DISTINCT FROM f.feed
        LEFT JOIN LATERAL (
            SELECT own.power_status, own.at, own.signal_no FROM own
            WHERE own.meter_no = f.meter_no AND own.at <= e.at
              AND NOT (own.source = 'system' AND own.power_status = 'off')
            ORDER BY own.at DESC, own.reliability DESC, own.source_event_id DESC LIMIT 1) o ON true
        LEFT JOIN LATERAL (
            SELECT own.at FROM own
            WHERE own.meter_no = f.meter_no AND own.at <= e.at
              AND own.source = 'system' AND own.power_status = 'off'
            ORDER BY own.at DESC LIMIT 1) q ON true
    ), weighed AS (  -- an old service's "off" gives way to any newer report of supply
        SELECT h.*, CASE WHEN h.system_off_at IS NOT NULL AND h.system_off_at > COALESCE(h.live_at, '-infinity')
                         THEN GREATEST(h.lost_at, h.system_off_at) ELSE h.lost_at END AS final_lost_at
        FROM heard h
    )
    SELECT w.meter_no, w.at,
           oms_topology.power_of(w.final_lost_at, w.live_at, w.own_power_status, w.own_at),
           w.final_lost_at, w.live_at, w.own_power_status, w.own_at,
           CASE WHEN w.own_at = w.at THEN COALESCE(w.own_signal_no, w.signal_no) ELSE w.signal_no END
    FROM weighed w
$$;

-- Judges the given meters anew from p_from on, after a report that came late or that their rows alone
-- cannot decide: status, start of the present run, and the audit rows that were missing.
CREATE FUNCTION oms_topology.reassess_meters(p_meter_nos integer[], p_from timestamptz, p_signal_no bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM FROM public.oms_meters WHERE meter_no = ANY (p_meter_nos)
    ORDER BY segment_no, position_no, meter_no FOR NO KEY UPDATE;

    WITH history AS MATERIALIZED (
        SELECT h.*, lag(h.power_status) OVER (PARTITION BY h.meter_no ORDER BY h.at) AS before
        FROM oms_topology.power_history(p_meter_nos, p_from) h
    ), present AS (
        SELECT DISTINCT ON (h.meter_no) h.*,
               (SELECT max(c.at) FROM history c
                WHERE c.meter_no = h.meter_no AND c.at >= p_from AND c.power_status <> c.before) AS changed_at
        FROM history h ORDER BY h.meter_no, h.at DESC
    ), earlier_run AS (  -- since when the status held just before p_from, by the audit in event-time order
        SELECT e.meter_id, min(e.event_timestamp) AS since
        FROM (SELECT a.meter_id, a.event_timestamp, a.new_status, p.power_status,
                     max(a.event_timestamp) FILTER (WHERE a.new_status <> p.power_status)
                         OVER (PARTITION BY a.meter_id) AS other_at
              FROM present p
              JOIN public.oms_meters m ON m.meter_no = p.meter_no
              JOIN public.oms_meter_status_events a ON a.meter_id = m.id
              WHERE p.changed_at IS NULL AND m.last_power_change >= p_from AND a.event_timestamp < p_from
                AND a.event_type IN ('power_on', 'power_off')) e
        WHERE e.new_status = e.power_status AND e.event_timestamp > COALESCE(e.other_at, '-infinity')
        GROUP BY e.meter_id
    ), missing AS (
        SELECT m.id AS meter_id, h.at, h.power_status, h.signal_no,
               lag(h.power_status) OVER (PARTITION BY h.meter_no ORDER BY h.at) AS earlier, m.power_status AS stood
        FROM history h
        JOIN public.oms_meters m ON m.meter_no = h.meter_no
        WHERE h.at >= p_from AND h.power_status <> h.before AND h.power_status <> 'unknown'
          AND NOT EXISTS (
              SELECT FROM public.oms_meter_status_events e
              WHERE e.meter_id = m.id AND e.event_timestamp = h.at AND e.new_status = h.power_status)
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, metadata)
        SELECT gen_random_uuid(), x.meter_id, 'power_' || x.power_status, COALESCE(s.source, 'system'),
               COALESCE(s.record_id, s.source_event_id), COALESCE(x.earlier, x.stood), x.power_status, x.at,
               COALESCE(c.confidence, 1.0), jsonb_build_object('recorded_after_signal', p_signal_no)
        FROM missing x
        LEFT JOIN oms_topology.signal s ON s.signal_no = x.signal_no
        LEFT JOIN oms_topology.source_setting c ON c.source = s.source
    )
    UPDATE public.oms_meters m
    SET previous_power_status = m.power_status,
        power_status = CASE WHEN p.power_status = 'unknown' THEN m.power_status ELSE p.power_status END,
        supply_lost_at = p.supply_lost_at, supply_live_at = p.supply_live_at,
        own_power_status = p.own_power_status, own_power_at = p.own_power_at,
        last_power_change = CASE
            WHEN p.changed_at IS NOT NULL THEN p.changed_at
            WHEN p.power_status = 'unknown' OR m.last_power_change < p_from THEN m.last_power_change
            ELSE (SELECT r.since FROM earlier_run r WHERE r.meter_id = m.id) END,
        last_status_change = GREATEST(m.last_status_change, p.changed_at),
        power_signal_no = p_signal_no, updated_at = clock_timestamp()
    FROM present p WHERE m.meter_no = p.meter_no;
END $$;

-- The audit in the order in which things happened: what truly held before and after each report.
CREATE VIEW oms_topology.meter_power_history AS
SELECT e.meter_id, e.event_timestamp, e.before AS previous_status, e.new_status, e.source_type, e.source_event_id
FROM (SELECT s.meter_id, s.event_timestamp, s.new_status, s.source_type, s.source_event_id,
             lag(s.new_status) OVER (PARTITION BY s.meter_id ORDER BY s.event_timestamp, s.created_at, s.id) AS before
      FROM public.oms_meter_status_events s WHERE s.event_type IN ('power_on', 'power_off')) e
WHERE e.before IS DISTINCT FROM e.new_status;
COMMENT ON VIEW oms_topology.meter_power_history IS
    'Status changes of each meter in event-time order, repeats left out; the same whatever the order of arrival.';
