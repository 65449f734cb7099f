-- What a meter's power status is, as a function of the set of reports and their times.
--
-- A supply path is dead when some device on it last said "de-energised" and no device below that one
-- has said "energised" since; the meter's own report is the lowest of them. A meter has lost supply
-- when all its paths are dead. Its own "off" holds until its own "on"; that a device above it once said
-- "energised" holds until supply is lost. So the order of arrival is of no account, and every row of
-- oms_meters carries what its own next decision needs.

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
-- instant the greatest id stands; reports without a sound time count only until the first sound one.
CREATE FUNCTION oms_topology.device_reports(p_device_nos integer[], p_from timestamptz)
RETURNS TABLE (device_no integer, at timestamptz, is_dead boolean, signal_no bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (r.device_no, r.occurred_at) r.device_no, r.occurred_at, r.power_status = 'off', r.signal_no
    FROM unnest(p_device_nos) AS wanted (device_no)
    CROSS JOIN LATERAL (
        SELECT COALESCE((SELECT g.occurred_at FROM oms_topology.signal g
                         WHERE g.device_no = wanted.device_no AND g.power_status IN ('on', 'off') AND g.time_is_sound
                         ORDER BY g.occurred_at LIMIT 1), 'infinity') AS first_at) sound
    CROSS JOIN LATERAL (
        (SELECT g.device_no, g.occurred_at, g.power_status, g.signal_no, g.source_event_id, g.content_hash
         FROM oms_topology.signal g
         WHERE g.device_no = wanted.device_no AND g.power_status IN ('on', 'off')
           AND (g.time_is_sound OR g.occurred_at < sound.first_at) AND g.occurred_at >= p_from)
        UNION ALL
        (SELECT g.device_no, g.occurred_at, g.power_status, g.signal_no, g.source_event_id, g.content_hash
         FROM oms_topology.signal g
         WHERE g.device_no = wanted.device_no AND g.power_status IN ('on', 'off')
           AND (g.time_is_sound OR g.occurred_at < sound.first_at) AND g.occurred_at < p_from
         ORDER BY g.occurred_at DESC, g.source_event_id COLLATE "C" DESC, g.content_hash COLLATE "C" DESC LIMIT 1)) r
    ORDER BY r.device_no, r.occurred_at, r.source_event_id COLLATE "C" DESC, r.content_hash COLLATE "C" DESC
$$;

-- When each device last said "energised" before p_from.
CREATE FUNCTION oms_topology.devices_last_live(p_device_nos integer[], p_from timestamptz)
RETURNS TABLE (device_no integer, at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT wanted.device_no, live.occurred_at
    FROM unnest(p_device_nos) AS wanted (device_no)
    CROSS JOIN LATERAL (
        SELECT g.occurred_at
        FROM oms_topology.signal g
        WHERE g.device_no = wanted.device_no AND g.power_status = 'on' AND g.occurred_at < p_from
          AND EXISTS (SELECT FROM oms_topology.device_reports(ARRAY[g.device_no], g.occurred_at) r
                      WHERE r.signal_no = g.signal_no)
        ORDER BY g.occurred_at DESC LIMIT 1) live
$$;

-- Each meter's power status just before p_from and at every instant from then on at which a report of
-- its own or of a device above it speaks; ordered by nothing. supply_lost_at is by devices (devices_lost_at)
-- or by an old service.
CREATE FUNCTION oms_topology.power_history(p_meter_nos integer[], p_from timestamptz)
RETURNS TABLE (meter_no integer, at timestamptz, power_status text, supply_lost_at timestamptz,
               supply_live_at timestamptz, own_power_status text, own_power_at timestamptz, signal_no bigint,
               devices_lost_at timestamptz)
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
        SELECT u.meter_no, s.feed, dense_rank() OVER (ORDER BY s.feed) AS feed_no
        FROM unnest(p_meter_nos) AS u (meter_no)
        LEFT JOIN (SELECT meter_no, array_agg(segment_no::bigint * 4294967296 + position_no ORDER BY segment_no, position_no) AS feed
                   FROM supply GROUP BY meter_no) s ON s.meter_no = u.meter_no
    ), place AS (
        SELECT f.feed_no, (p.place >> 32)::integer AS segment_no, (p.place & 4294967295)::integer AS position_no
        FROM (SELECT DISTINCT feed_no, feed FROM feed WHERE feed IS NOT NULL) f CROSS JOIN LATERAL unnest(f.feed) AS p (place)
    ), reporter AS (
        SELECT p.feed_no, p.segment_no, p.position_no, s.device_no, s.depth
        FROM place p
        JOIN oms_topology.device_state s
            ON s.segment_no = p.segment_no AND p.position_no BETWEEN s.position_no AND s.last_position_no
    ), report AS MATERIALIZED (
        SELECT * FROM oms_topology.device_reports(
            (SELECT COALESCE(array_agg(DISTINCT device_no), '{}') FROM reporter), p_from)
    ), live_before AS (
        SELECT r.feed_no, max(l.at) AS at
        FROM oms_topology.devices_last_live((SELECT COALESCE(array_agg(DISTINCT device_no), '{}') FROM reporter), p_from) l
        JOIN reporter r ON r.device_no = l.device_no
        GROUP BY r.feed_no
    ), instant AS (
        SELECT r.feed_no, d.at, max(d.signal_no) AS signal_no
        FROM reporter r JOIN report d ON d.device_no = r.device_no WHERE d.at >= p_from
        GROUP BY r.feed_no, d.at
        UNION ALL
        SELECT DISTINCT f.feed_no, p_from - interval '1 microsecond', NULL::bigint FROM feed f
    ), latest AS (  -- what each device on each path last said, as of each instant
        SELECT DISTINCT ON (i.feed_no, i.at, r.segment_no, r.position_no, r.device_no)
               i.feed_no, i.at, r.segment_no, r.position_no, r.depth, d.at AS said_at, d.is_dead
        FROM instant i
        JOIN reporter r ON r.feed_no = i.feed_no
        JOIN report d ON d.device_no = r.device_no AND d.at <= i.at
        ORDER BY i.feed_no, i.at, r.segment_no, r.position_no, r.device_no, d.at DESC
    ), judged AS (
        SELECT l.*, max(l.said_at) FILTER (WHERE NOT l.is_dead) OVER (
                   PARTITION BY l.feed_no, l.at, l.segment_no, l.position_no ORDER BY l.depth DESC
                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS live_below_at
        FROM latest l
    ), path AS (
        SELECT i.feed_no, i.at, p.segment_no, p.position_no,
               max(j.said_at) FILTER (WHERE j.is_dead AND (j.live_below_at IS NULL OR j.live_below_at <= j.said_at)) AS lost_at,
               max(j.said_at) FILTER (WHERE NOT j.is_dead) AS live_at
        FROM instant i
        JOIN place p ON p.feed_no = i.feed_no
        LEFT JOIN judged j ON j.feed_no = i.feed_no AND j.at = i.at
            AND j.segment_no = p.segment_no AND j.position_no = p.position_no
        GROUP BY i.feed_no, i.at, p.segment_no, p.position_no
    ), fed AS (
        SELECT i.feed_no, i.at, lead(i.at) OVER so_far AS until, i.signal_no, i.lost_at,
               GREATEST(max(i.live_at) OVER so_far, l.at) AS live_at
        FROM (SELECT i.feed_no, i.at, i.signal_no,
                     CASE WHEN bool_and(p.lost_at IS NOT NULL) THEN max(p.lost_at) END AS lost_at,
                     max(p.live_at) AS live_at
              FROM instant i LEFT JOIN path p ON p.feed_no = i.feed_no AND p.at = i.at
              GROUP BY i.feed_no, i.at, i.signal_no) i
        LEFT JOIN live_before l ON l.feed_no = i.feed_no
        WINDOW so_far AS (PARTITION BY i.feed_no ORDER BY i.at)
    ), own AS (  -- what each meter itself said; of two reports the one with the greater rank stands
        SELECT f.meter_no, r.occurred_at AS at, r.power_status, r.signal_no, r.is_system_off,
               CASE WHEN NOT r.is_system_off THEN row_number() OVER (
                   PARTITION BY f.meter_no
                   ORDER BY r.is_system_off DESC, g.time_is_sound IS NOT FALSE, r.occurred_at, s.reliability,
                            r.source_event_id COLLATE "C", g.content_hash COLLATE "C") END AS rank
        FROM feed f
        CROSS JOIN LATERAL (
            SELECT r.occurred_at, r.power_status, r.signal_no, r.source, r.source_event_id,
                   r.source = 'system' AND r.power_status = 'off' AS is_system_off
            FROM oms_topology.meter_report r WHERE r.meter_no = f.meter_no AND r.power_status IS NOT NULL OFFSET 0) r
        LEFT JOIN LATERAL (
            SELECT g.time_is_sound, g.content_hash FROM oms_topology.signal g WHERE g.signal_no = r.signal_no OFFSET 0) g ON true
        LEFT JOIN oms_topology.source_setting s ON s.source = r.source
    ), moment AS (  -- a meter's own reports concern no other meter of its feed
        SELECT f.meter_no, e.at, true AS is_fed, e.lost_at, e.live_at, e.signal_no,
               NULL::text AS own_power_status, NULL::bigint AS own_signal_no, false AS is_system_off, NULL::bigint AS rank
        FROM feed f JOIN fed e ON e.feed_no = f.feed_no
        UNION ALL
        SELECT o.meter_no, o.at, false, NULL, NULL, NULL, o.power_status, o.signal_no, o.is_system_off, o.rank FROM own o
    ), so_far AS (
        SELECT m.*, max(m.rank) OVER until_now AS best_rank, count(*) FILTER (WHERE m.is_fed) OVER until_now AS fed_no,
               max(m.at) FILTER (WHERE m.is_system_off) OVER until_now AS system_off_at
        FROM moment m WINDOW until_now AS (PARTITION BY m.meter_no ORDER BY m.at)
    ), heard AS (  -- at each moment what the newest report of devices says, and the own report that stands
        SELECT m.meter_no, m.at, m.is_fed, m.signal_no, m.system_off_at,
               max(m.lost_at) OVER since_fed AS lost_at, max(m.live_at) OVER since_fed AS live_at,
               max(m.own_power_status) FILTER (WHERE m.rank = m.best_rank) OVER standing AS own_power_status,
               max(m.at) FILTER (WHERE m.rank = m.best_rank) OVER standing AS own_at,
               max(m.own_signal_no) FILTER (WHERE m.rank = m.best_rank) OVER standing AS own_signal_no
        FROM so_far m
        WINDOW since_fed AS (PARTITION BY m.meter_no, m.fed_no), standing AS (PARTITION BY m.meter_no, m.best_rank)
    ), weighed AS (  -- an old service's "off" gives way to any newer report of supply
        SELECT DISTINCT ON (h.meter_no, h.at) h.*,
               CASE WHEN h.system_off_at IS NOT NULL AND h.system_off_at > COALESCE(h.live_at, '-infinity')
                    THEN GREATEST(h.lost_at, h.system_off_at) ELSE h.lost_at END AS final_lost_at
        FROM heard h WHERE h.is_fed OR h.at >= p_from
        ORDER BY h.meter_no, h.at, h.is_fed DESC
    )
    SELECT w.meter_no, w.at,
           oms_topology.power_of(w.final_lost_at, w.live_at, w.own_power_status, w.own_at),
           w.final_lost_at, w.live_at, w.own_power_status, w.own_at,
           CASE WHEN w.own_at = w.at THEN COALESCE(w.own_signal_no, w.signal_no) ELSE w.signal_no END,
           w.lost_at
    FROM weighed w
$$;

-- What the audit says of the power of meters, from p_from on: of each instant its last row does.
CREATE FUNCTION oms_topology.audited_power(p_meter_nos integer[], p_from timestamptz)
RETURNS TABLE (meter_no integer, at timestamptz, new_status varchar, event_type varchar, is_withdrawn boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = auto SET enable_seqscan = on AS $$
DECLARE
    ids uuid[] := ARRAY(SELECT m.id FROM public.oms_meters m WHERE m.meter_no = ANY (p_meter_nos));
BEGIN
    IF cardinality(ids) > 50 THEN
        -- A plan that knows the ids hashes them; another compares each row of the open part with all of them.
        PERFORM set_config('plan_cache_mode', 'force_custom_plan', true);
    END IF;
    RETURN QUERY
    WITH audit AS MATERIALIZED (  -- by the ids alone, so that the open part, which has no index, is read once
        SELECT e.meter_id, e.event_timestamp, e.new_status, e.event_type, e.metadata, e.created_at, e.id
        FROM public.oms_meter_status_events e
        WHERE e.meter_id = ANY (ids) AND e.event_timestamp >= p_from AND e.event_type IN ('power_on', 'power_off')
    )
    SELECT DISTINCT ON (e.meter_id, e.event_timestamp)
           m.meter_no, e.event_timestamp, e.new_status, e.event_type, COALESCE(e.metadata ->> 'withdrawn' = 'true', false)
    FROM audit e
    CROSS JOIN LATERAL (SELECT m.meter_no FROM public.oms_meters m WHERE m.id = e.meter_id LIMIT 1) m
    ORDER BY e.meter_id, e.event_timestamp, e.created_at DESC, e.id DESC;
END $$;

-- Judges the given meters anew from p_from on, after a report that came late or that their rows alone
-- cannot decide: status, start of the present run, and the audit rows that were missing. Where the audit
-- shows a change at an instant that has none any more, a row is appended that says so: "withdrawn".
CREATE FUNCTION oms_topology.reassess_meters(p_meter_nos integer[], p_from timestamptz, p_signal_no bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = auto SET enable_seqscan = on AS $$
DECLARE
    ids text := oms_topology.id_prefix();
BEGIN
    PERFORM FROM public.oms_meters WHERE meter_no = ANY (p_meter_nos)
    ORDER BY segment_no, position_no, meter_no FOR NO KEY UPDATE;

    WITH history AS MATERIALIZED (
        SELECT h.*, lag(h.power_status) OVER meter AS before, lead(h.at) OVER meter AS until
        FROM oms_topology.power_history(p_meter_nos, p_from) h
        WINDOW meter AS (PARTITION BY h.meter_no ORDER BY h.at)
    ), run AS (
        SELECT h.meter_no, max(h.at) FILTER (WHERE h.at >= p_from AND h.power_status <> h.before) AS changed_at
        FROM history h GROUP BY h.meter_no
    ), present AS (
        SELECT h.*, r.changed_at FROM history h JOIN run r ON r.meter_no = h.meter_no WHERE h.until IS NULL
    ), earlier_run AS MATERIALIZED (  -- since when the status holds where every change from p_from on was withdrawn
        SELECT e.meter_no, max(e.at) AS since
        FROM (SELECT h.meter_no, h.at, h.power_status, lag(h.power_status) OVER (PARTITION BY h.meter_no ORDER BY h.at) AS before
              FROM oms_topology.power_history(
                  (SELECT COALESCE(array_agg(m.meter_no), '{}') FROM present p
                   JOIN public.oms_meters m ON m.meter_no = p.meter_no
                   WHERE p.changed_at IS NULL AND m.last_power_change >= p_from),
                  '-infinity') h) e
        WHERE e.power_status <> COALESCE(e.before, 'unknown')
        GROUP BY e.meter_no
    ), start AS (
        SELECT p.*, CASE
                   WHEN p.changed_at IS NOT NULL THEN p.changed_at
                   WHEN m.last_power_change < p_from THEN m.last_power_change
                   ELSE (SELECT r.since FROM earlier_run r WHERE r.meter_no = p.meter_no) END AS since
        FROM present p
        CROSS JOIN LATERAL (SELECT m.last_power_change FROM public.oms_meters m WHERE m.meter_no = p.meter_no LIMIT 1) m
    ), said AS MATERIALIZED (
        SELECT * FROM oms_topology.audited_power(p_meter_nos, p_from)
    ), truth AS (
        SELECT h.meter_no, h.at, h.power_status, h.before, h.signal_no, false AS is_withdrawn FROM history h
        WHERE h.at >= p_from AND h.power_status <> h.before
        UNION ALL
        SELECT a.meter_no, a.at, h.power_status, a.new_status, h.signal_no, true
        FROM said a
        JOIN history h ON h.meter_no = a.meter_no AND a.at >= h.at AND a.at < COALESCE(h.until, 'infinity')
        WHERE NOT a.is_withdrawn AND (h.at < a.at OR h.power_status = h.before)
    ), missing AS (
        SELECT m.id AS meter_id, t.at, t.power_status, t.signal_no, t.is_withdrawn, m.power_status AS stood,
               lag(t.power_status) OVER (PARTITION BY t.meter_no ORDER BY t.at) AS earlier,
               CASE t.power_status WHEN 'unknown' THEN COALESCE(a.event_type, 'power_' || t.before)
                    ELSE 'power_' || t.power_status END AS event_type
        FROM truth t
        CROSS JOIN LATERAL (SELECT m.id, m.power_status FROM public.oms_meters m WHERE m.meter_no = t.meter_no LIMIT 1) m
        LEFT JOIN said a ON a.meter_no = t.meter_no AND a.at = t.at
        WHERE t.is_withdrawn OR a.is_withdrawn OR a.new_status IS DISTINCT FROM t.power_status
    ), audited AS (
        INSERT INTO oms_topology.meter_status_event
            (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status,
             event_timestamp, confidence_score, metadata, created_at)
        SELECT (ids || lpad(to_hex(row_number() OVER ()), 6, '0'))::uuid, x.meter_id, x.event_type, COALESCE(s.source, 'system'),
               COALESCE(s.record_id, s.source_event_id), COALESCE(x.earlier, x.stood), x.power_status, x.at,
               COALESCE(c.confidence, 1.0),
               jsonb_build_object('recorded_after_signal', p_signal_no)
                   || CASE WHEN x.is_withdrawn THEN '{"withdrawn": true}' ELSE '{}' END::jsonb,
               clock_timestamp()
        FROM missing x
        LEFT JOIN LATERAL (SELECT s.* FROM oms_topology.signal s WHERE s.signal_no = x.signal_no LIMIT 1) s ON true
        LEFT JOIN oms_topology.source_setting c ON c.source = s.source
    )
    UPDATE public.oms_meters m
    SET previous_power_status = m.power_status,
        power_status = p.power_status,
        supply_lost_at = p.supply_lost_at, supply_live_at = p.supply_live_at,
        own_power_status = p.own_power_status, own_power_at = p.own_power_at,
        last_power_change = p.since,
        -- The newer of two: where the old one was that of power, the other is not in the row.
        last_status_change = CASE
            WHEN m.last_status_change > COALESCE(m.last_power_change, '-infinity') THEN GREATEST(m.last_status_change, p.since)
            WHEN p.since >= m.last_power_change THEN p.since
            ELSE GREATEST(p.since, oms_topology.communication_since(m.meter_no)) END,
        -- Another one in any case, or the write would pass for an old service's (74).
        power_signal_no = NULLIF(p_signal_no, m.power_signal_no), updated_at = clock_timestamp()
    FROM start p WHERE m.meter_no = p.meter_no;
    PERFORM oms_topology.log_status_change(p_meter_nos);
END $$;

-- The audit in the order in which things happened: what truly held before and after each report.
CREATE VIEW oms_topology.meter_power_history AS
SELECT e.meter_id, e.event_timestamp, e.before AS previous_status, e.new_status, e.source_type, e.source_event_id
FROM (SELECT s.*, lag(s.new_status) OVER (PARTITION BY s.meter_id ORDER BY s.event_timestamp) AS before
      FROM (SELECT DISTINCT ON (a.meter_id, a.event_timestamp)
                   a.meter_id, a.event_timestamp, a.new_status, a.source_type, a.source_event_id, a.metadata
            FROM public.oms_meter_status_events a WHERE a.event_type IN ('power_on', 'power_off')
            ORDER BY a.meter_id, a.event_timestamp, a.created_at DESC, a.id DESC) s
      WHERE s.metadata ->> 'withdrawn' IS DISTINCT FROM 'true') e
WHERE e.before IS DISTINCT FROM e.new_status;
COMMENT ON VIEW oms_topology.meter_power_history IS
    'Status changes of each meter in event-time order: of several rows of one instant the last holds, changes that were withdrawn and repeats are left out. The same whatever the order of arrival.';
