-- What a control room watches, as measures: one row each, read by the report, by Prometheus and by people.

CREATE TABLE oms_topology.monitor_limit (
    name  text PRIMARY KEY,
    value double precision NOT NULL,
    CONSTRAINT monitor_limit_value_check CHECK (value >= 0)
);
COMMENT ON TABLE oms_topology.monitor_limit IS
    'Above which value a measure is an alert: shares from 0 to 1, times in seconds, numbers. A row that is deleted asks for no alert.';
INSERT INTO oms_topology.monitor_limit (name, value) VALUES
    ('meters_unknown_share', 0.1), ('slow_checks', 0), ('feed_delay_seconds', 300), ('dead_letters', 0),
    ('inference_backlog_seconds', 60), ('notification_backlog_seconds', 300), ('substation_without_meters', 0);

-- A check of meters that takes longer than the contract's second leaves a row; all others leave none.
CREATE TABLE oms_topology.slow_check (
    signal_no    bigint PRIMARY KEY,
    total_meters integer     NOT NULL,
    duration     interval    NOT NULL,
    checked_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX slow_check_checked_idx ON oms_topology.slow_check (checked_at);
COMMENT ON TABLE oms_topology.slow_check IS 'Checks of meters after a message that took more than a second, from first to last statement.';

-- Shares of meters without a known status: one scan of the registry for the whole and each substation.
CREATE FUNCTION oms_topology.meter_measures() RETURNS TABLE (name text, labels jsonb, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH counted AS MATERIALIZED (
        SELECT m.substation_id, m.power_status, count(*) AS meters
        FROM public.oms_meters m WHERE m.status = 'active' GROUP BY 1, 2
    )
    SELECT 'meters', jsonb_build_object('power_status', s.power_status),
           COALESCE(sum(c.meters) FILTER (WHERE COALESCE(c.power_status, 'unknown') = s.power_status), 0)::double precision
    FROM unnest(ARRAY['on', 'off', 'unknown']) AS s (power_status) LEFT JOIN counted c ON true
    GROUP BY s.power_status
    UNION ALL
    SELECT 'meters_unknown_share', '{}',
           COALESCE(sum(c.meters) FILTER (WHERE c.power_status IS DISTINCT FROM 'on' AND c.power_status IS DISTINCT FROM 'off'), 0)
               / sum(c.meters)
    FROM counted c HAVING sum(c.meters) > 0
    UNION ALL
    SELECT 'substation_meters_unknown_share', jsonb_build_object('substation', s.substation_id),
           COALESCE(sum(c.meters) FILTER (WHERE c.power_status IS DISTINCT FROM 'on' AND c.power_status IS DISTINCT FROM 'off'), 0)
               / sum(c.meters)
    FROM counted c JOIN public.network_substations s ON s.id = c.substation_id
    GROUP BY s.substation_id
    UNION ALL
    SELECT 'substation_without_meters', jsonb_build_object('substation', s.substation_id), 1
    FROM public.network_substations s
    WHERE COALESCE(s.status, 'active') = 'active' AND NOT EXISTS (SELECT FROM counted c WHERE c.substation_id = s.id)
$$;

-- How late and how long ago providers were heard, from the newest messages; how far consumers have come.
CREATE FUNCTION oms_topology.feed_measures() RETURNS TABLE (name text, labels jsonb, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH newest AS MATERIALIZED (
        SELECT s.source, s.occurred_at, s.received_at, s.time_is_sound
        FROM oms_topology.signal s WHERE s.source <> 'system' ORDER BY s.signal_no DESC LIMIT 2000
    )
    SELECT 'feed_silence_seconds', jsonb_build_object('source', n.source),
           GREATEST(extract(epoch FROM clock_timestamp() - max(n.received_at)), 0)::double precision
    FROM newest n GROUP BY n.source
    UNION ALL
    SELECT 'feed_delay_seconds', jsonb_build_object('source', n.source),
           percentile_cont(0.5) WITHIN GROUP (
               ORDER BY GREATEST(extract(epoch FROM n.received_at - n.occurred_at), 0)::double precision)
    FROM newest n WHERE n.time_is_sound AND n.received_at > clock_timestamp() - interval '1 hour' GROUP BY n.source
    UNION ALL
    SELECT 'stream_silence_seconds', jsonb_build_object('consumer_group', p.consumer_group, 'topic', p.topic),
           GREATEST(extract(epoch FROM clock_timestamp() - max(p.recorded_at)), 0)::double precision
    FROM oms_topology.stream_position p GROUP BY p.consumer_group, p.topic
    UNION ALL
    SELECT 'dead_letters', jsonb_build_object('source', d.source), count(*)
    FROM oms_topology.dead_letter d WHERE d.replayed_at IS NULL GROUP BY d.source
    UNION ALL
    SELECT 'slow_checks', '{}', count(*)
    FROM oms_topology.slow_check c WHERE c.checked_at > clock_timestamp() - interval '1 hour'
    UNION ALL
    SELECT 'slowest_check_seconds', '{}', extract(epoch FROM max(c.duration))::double precision
    FROM oms_topology.slow_check c WHERE c.checked_at > clock_timestamp() - interval '1 hour' HAVING count(*) > 0
$$;

-- What waits to be concluded and to be sent, and since when at the longest.
CREATE FUNCTION oms_topology.backlog_measures() RETURNS TABLE (name text, labels jsonb, value double precision)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    SELECT m.name, '{}'::jsonb, m.value
    FROM (SELECT count(*) AS rows, min(w.since) AS since
          FROM (SELECT w.queued_at AS since FROM oms_topology.inference_work w
                UNION ALL
                SELECT GREATEST(d.due_at, d.queued_at) FROM oms_topology.inference_due d
                WHERE d.due_at <= clock_timestamp()) w) b
    CROSS JOIN LATERAL (VALUES ('inference_backlog', b.rows::double precision),
                               ('inference_backlog_seconds', oms_topology.seconds_since(b.since))) AS m (name, value);
    RETURN QUERY
    SELECT m.name, '{}'::jsonb, m.value
    FROM (SELECT count(*) AS rows, min(d.next_attempt_at) AS since
          FROM oms_topology.notification_delivery d WHERE d.next_attempt_at <= clock_timestamp()) b
    CROSS JOIN LATERAL (VALUES ('notification_backlog', b.rows::double precision),
                               ('notification_backlog_seconds', oms_topology.seconds_since(b.since))) AS m (name, value);
END $$;

CREATE FUNCTION oms_topology.seconds_since(p_at timestamptz) RETURNS double precision
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT COALESCE(GREATEST(extract(epoch FROM clock_timestamp() - p_at), 0), 0)::double precision
$$;

CREATE FUNCTION oms_topology.outage_measures() RETURNS TABLE (name text, labels jsonb, value double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'open_outages', jsonb_build_object('status', s.status), count(e.id)
    FROM unnest(ARRAY['detected', 'confirmed', 'in_progress']) AS s (status)
    LEFT JOIN public.oms_outage_events e ON e.status = s.status GROUP BY s.status
    UNION ALL
    SELECT 'storm_mode', '{}', count(*) FROM public.oms_storm_mode_config c WHERE c.is_active
$$;

CREATE VIEW oms_topology.measure AS
    SELECT * FROM oms_topology.meter_measures()
    UNION ALL SELECT * FROM oms_topology.feed_measures()
    UNION ALL SELECT * FROM oms_topology.backlog_measures()
    UNION ALL SELECT * FROM oms_topology.outage_measures();
COMMENT ON VIEW oms_topology.measure IS
    'What is watched, as of now: name, labels, value. Costs a scan of the registry; limits stand in monitor_limit.';
