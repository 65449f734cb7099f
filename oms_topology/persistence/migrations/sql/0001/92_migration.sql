-- The migration of the providers' registries: its books, how each meter was linked, under which other names
-- it is known, and merges of rows that are one physical meter. What it runs stands in oms_topology/migration/sql.

CREATE TABLE oms_topology.migration_run (
    run_no      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    limits      jsonb NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    report      jsonb
);
COMMENT ON TABLE oms_topology.migration_run IS 'The runs of the migration; one without finished_at was broken off and is taken up again.';

CREATE TABLE oms_topology.migration_step (
    run_no      bigint NOT NULL,
    step_no     integer NOT NULL,
    outcome     jsonb NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT migration_step_pkey PRIMARY KEY (run_no, step_no),
    CONSTRAINT migration_step_run_no_fkey FOREIGN KEY (run_no)
        REFERENCES oms_topology.migration_run (run_no) ON DELETE CASCADE
);
COMMENT ON TABLE oms_topology.migration_step IS 'Steps that are done, written in the transaction of the step itself.';

-- A link that the migration made stands while the meter still has that target; whoever sets another one by hand
-- or by survey has made it explicit. A meter without a row here was linked by somebody else.
CREATE TABLE oms_topology.meter_link (
    target_kind       text NOT NULL,
    meter_no          integer NOT NULL,
    status            text NOT NULL,
    target_id         uuid,
    former_id         uuid,
    rule              text,
    distance_m        double precision,
    second_distance_m double precision,
    confidence        double precision,
    linked_at         timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT meter_link_pkey PRIMARY KEY (target_kind, meter_no),
    CONSTRAINT meter_link_target_kind_check CHECK (target_kind IN ('substation', 'feeder', 'distribution_point', 'customer')),
    CONSTRAINT meter_link_target_check CHECK ((status = 'linked') = (target_id IS NOT NULL AND rule IS NOT NULL))
);
COMMENT ON TABLE oms_topology.meter_link IS
    'Links that the migration made (former_id is what the registry still has of an earlier one), each with rule, metres, metres to the second nearest, and confidence; and why it made none.';

-- Where a feeder runs, for links to its line; degrees, in order along the line.
CREATE TABLE oms_topology.feeder_line (
    feeder_id  uuid NOT NULL,
    line_no    integer NOT NULL,
    longitudes double precision[] NOT NULL,
    latitudes  double precision[] NOT NULL,
    CONSTRAINT feeder_line_pkey PRIMARY KEY (feeder_id, line_no),
    CONSTRAINT feeder_line_feeder_id_fkey FOREIGN KEY (feeder_id)
        REFERENCES public.network_feeders (id) ON DELETE CASCADE,
    CONSTRAINT feeder_line_points_check CHECK (
        cardinality(longitudes) = cardinality(latitudes) AND cardinality(longitudes) >= 2)
);
COMMENT ON TABLE oms_topology.feeder_line IS 'The drawn lines of feeders; a feeder without one is where network_feeders puts it.';

CREATE TABLE oms_topology.meter_alias (
    kind     text NOT NULL,
    name     text NOT NULL,
    meter_no integer NOT NULL,
    rule     text NOT NULL,
    CONSTRAINT meter_alias_pkey PRIMARY KEY (kind, name),
    CONSTRAINT meter_alias_kind_check CHECK (kind IN ('number', 'asset_mrid')),
    CONSTRAINT meter_alias_meter_no_fkey FOREIGN KEY (meter_no)
        REFERENCES public.oms_meters (meter_no) ON DELETE CASCADE
);
CREATE INDEX meter_alias_meter_idx ON oms_topology.meter_alias (meter_no);
COMMENT ON TABLE oms_topology.meter_alias IS
    'Names of a meter beside those in its row, as oms_topology.meter_key writes them, with the rule that says so.';

CREATE TABLE oms_topology.meter_merge (
    merge_no        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    survivor_no     integer NOT NULL,
    survivor_number text NOT NULL,
    merged_no       integer NOT NULL,
    merged_number   text NOT NULL,
    rule            text NOT NULL,
    evidence        text NOT NULL,
    merged_row      jsonb NOT NULL,
    survivor_row    jsonb NOT NULL,
    moved           jsonb NOT NULL DEFAULT '{}',
    merged_at       timestamptz NOT NULL DEFAULT now(),
    undone_at       timestamptz
);
CREATE INDEX meter_merge_pair_idx ON oms_topology.meter_merge (survivor_number, merged_number);
COMMENT ON TABLE oms_topology.meter_merge IS
    'Rows of oms_meters that were found to be one physical meter: both as they were, what was moved, the rule and its evidence. undo_merge() takes one back, for good.';

-- How names of meters are compared, as the doors of the providers do.
CREATE FUNCTION oms_topology.meter_key(p_name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT upper(btrim(p_name, E' \t\n\r\f\x0B'))
$$;

-- A phone number as its digits with the country's trunk 0 for its code: "+962 79 000-0001", "00962790000001" and
-- "0790000001" are one. Less than 7 digits are no phone number.
CREATE FUNCTION oms_topology.phone_key(p_phone text, p_country_code text DEFAULT '962') RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN length(n.digits) >= 7 THEN n.digits END
    FROM (SELECT regexp_replace(
              translate(p_phone, U&'\0660\0661\0662\0663\0664\0665\0666\0667\0668\0669\06F0\06F1\06F2\06F3\06F4\06F5\06F6\06F7\06F8\06F9',
                        '01234567890123456789'), '[^0-9]', '', 'g') AS digits) d
    CROSS JOIN LATERAL (SELECT CASE
        WHEN d.digits LIKE '00' || p_country_code || '%' THEN '0' || ltrim(substr(d.digits, 3 + length(p_country_code)), '0')
        WHEN d.digits LIKE p_country_code || '%' AND length(d.digits) > 9 THEN '0' || ltrim(substr(d.digits, 1 + length(p_country_code)), '0')
        ELSE d.digits END AS digits) n
$$;

-- A link goes with its meter. No foreign key: it would be asked for each of millions of links.
CREATE FUNCTION oms_topology.forget_links() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM oms_topology.meter_link;
    ELSE
        DELETE FROM oms_topology.meter_link l
        USING old_rows r, unnest(ARRAY['substation', 'feeder', 'distribution_point', 'customer']) AS k (target_kind)
        WHERE l.target_kind = k.target_kind AND l.meter_no = r.meter_no;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER oms_topology_forget_links AFTER DELETE ON public.oms_meters
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_links();
CREATE TRIGGER oms_topology_forget_all_links AFTER TRUNCATE ON public.oms_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.forget_links();

-- Takes down what signals of the past say of meters, in past_said, until all are together.
CREATE FUNCTION oms_topology.gather_past_reports(p_signal_nos bigint[], p_meter_nos integer[], p_communication_statuses text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS past_said (
        signal_no bigint, meter_no integer, communication_status text, occurred_at timestamptz) ON COMMIT DROP;
    INSERT INTO pg_temp.past_said
    SELECT u.signal_no, u.meter_no, u.communication_status, s.occurred_at
    FROM unnest(p_signal_nos, p_meter_nos, p_communication_statuses) AS u (signal_no, meter_no, communication_status)
    JOIN oms_topology.signal s ON s.signal_no = u.signal_no;
END $$;

-- Records what was taken down: what the audit tells of an instant already is not told again, and what is newer stands.
-- Meters of which nothing is known that could speak against their reports are written by sets, in order of time.
CREATE FUNCTION oms_topology.record_past_reports() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said record;
BEGIN
    PERFORM oms_topology.gather_past_reports('{}', '{}', '{}');
    IF NOT EXISTS (SELECT FROM pg_temp.past_said) THEN
        RETURN;
    END IF;
    -- One lock that keeps all other writers out, not one on each of a million rows.
    LOCK TABLE public.oms_meters IN SHARE ROW EXCLUSIVE MODE;
    CREATE TEMP TABLE past_report AS
    SELECT u.meter_no, s.occurred_at, NULLIF(s.power_status, 'unknown') AS power_status, u.communication_status,
           s.source, s.source_event_id, s.signal_no, s.record_id, s.time_is_sound
    FROM pg_temp.past_said u
    JOIN oms_topology.signal s ON s.signal_no = u.signal_no
    WHERE s.power_status <> 'unknown' OR u.communication_status IS NOT NULL;
    ANALYZE past_report;
    CREATE TEMP TABLE plain_meter AS SELECT * FROM oms_topology.meters_told_plainly();
    ANALYZE plain_meter;
    -- What is taken over is no news to the worker of 77_inference.sql.
    PERFORM set_config('oms_topology.is_history', 'on', true);
    INSERT INTO oms_topology.meter_report
        (meter_no, occurred_at, power_status, communication_status, source, source_event_id, signal_no)
    SELECT p.meter_no, p.occurred_at, p.power_status, p.communication_status, p.source, p.source_event_id, p.signal_no
    FROM past_report p ORDER BY p.meter_no, p.occurred_at, p.signal_no;
    PERFORM set_config('oms_topology.is_history', 'off', true);
    PERFORM set_config('oms_topology.logs_status', 'on', true);
    PERFORM oms_topology.record_plain_reports();
    SELECT array_agg(DISTINCT p.meter_no) FILTER (WHERE p.communication_status IS NOT NULL) AS heard,
           min(p.occurred_at) FILTER (WHERE p.communication_status IS NOT NULL) AS heard_from,
           array_agg(DISTINCT p.meter_no) FILTER (WHERE p.power_status IS NOT NULL) AS powered,
           min(p.occurred_at) FILTER (WHERE p.power_status IS NOT NULL) AS powered_from, max(p.signal_no) AS signal_no
    INTO said
    FROM past_report p LEFT JOIN plain_meter n ON n.meter_no = p.meter_no WHERE n.meter_no IS NULL;
    IF said.heard IS NOT NULL THEN
        PERFORM oms_topology.reassess_communication(said.heard, said.heard_from);
    END IF;
    IF said.powered IS NOT NULL THEN
        PERFORM oms_topology.reassess_meters(said.powered, said.powered_from, said.signal_no);
    END IF;
    PERFORM set_config('oms_topology.logs_status', 'off', true);
    DROP TABLE past_report, plain_meter, past_said;
END $$;

-- The meters of past_report whose reports come to what they say, one after another, and need no judging: of their supply
-- no device has spoken, the audit tells nothing, and they say one thing at a time, at sound times. Either nothing else is
-- known of them, or (was_on) only that the registry had them "on", and their first report repeats just that.
CREATE FUNCTION oms_topology.meters_told_plainly() RETURNS TABLE (meter_no integer, was_on boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
#variable_conflict use_column
DECLARE
    devices_spoke boolean := EXISTS (SELECT FROM oms_topology.device_state);
BEGIN
    RETURN QUERY
    WITH told AS (
        SELECT p.meter_no, min(p.occurred_at) FILTER (WHERE p.power_status IS NOT NULL) AS power_from
        FROM pg_temp.past_report p
        GROUP BY p.meter_no HAVING bool_and(p.time_is_sound) AND count(DISTINCT p.occurred_at) = count(*)
    ), earlier AS (
        SELECT r.meter_no, min(r.occurred_at) AS at,
               count(*) = 1 AND bool_and(r.source = 'system' AND r.power_status = 'on' AND r.communication_status IS NULL) AS is_on
        FROM oms_topology.meter_report r GROUP BY r.meter_no
    ), repeated AS (
        SELECT p.meter_no, p.occurred_at
        FROM pg_temp.past_report p
        JOIN oms_topology.source_setting c ON c.source = p.source
        JOIN oms_topology.source_setting y ON y.source = 'system' AND y.reliability < c.reliability
        WHERE p.power_status = 'on'
    )
    SELECT m.meter_no, r.meter_no IS NOT NULL
    FROM told t
    JOIN public.oms_meters m ON m.meter_no = t.meter_no
    LEFT JOIN earlier r ON r.meter_no = m.meter_no
    LEFT JOIN repeated q ON q.meter_no = m.meter_no AND q.occurred_at = r.at
    LEFT JOIN (SELECT DISTINCT meter_id FROM public.oms_meter_status_events) e ON e.meter_id = m.id
    LEFT JOIN (SELECT DISTINCT segment_no FROM oms_topology.device_state) s ON s.segment_no = m.segment_no
    WHERE e.meter_id IS NULL AND s.segment_no IS NULL AND NOT (m.has_alternates AND devices_spoke)
      AND m.supply_lost_at IS NULL AND m.supply_live_at IS NULL AND m.last_power_change IS NULL AND m.last_status_change IS NULL
      AND CASE WHEN r.meter_no IS NULL
               THEN m.own_power_at IS NULL AND m.last_communication IS NULL
                    AND COALESCE(m.power_status, 'unknown') = 'unknown' AND COALESCE(m.communication_status, 'unknown') = 'unknown'
               ELSE r.is_on AND q.meter_no IS NOT NULL AND t.power_from = r.at
                    AND m.own_power_at = r.at AND m.own_power_status = 'on' AND m.power_status = 'on' END;
END $$;

-- What the reports of these meters come to: audit rows where the status changes, and the status of the last. What an old
-- service heard of a meter after its last report stands.
CREATE FUNCTION oms_topology.record_plain_reports() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    changed integer[];
BEGIN
    CREATE TEMP TABLE plain_power AS
    SELECT p.meter_no, p.occurred_at, p.power_status AS after, lag(p.power_status) OVER w AS before,
           p.source, COALESCE(p.record_id, p.source_event_id) AS event_id, p.signal_no, lead(p.occurred_at) OVER w IS NULL AS is_last
    FROM pg_temp.past_report p JOIN pg_temp.plain_meter n ON n.meter_no = p.meter_no WHERE p.power_status IS NOT NULL
    WINDOW w AS (PARTITION BY p.meter_no ORDER BY p.occurred_at);
    CREATE TEMP TABLE plain_heard AS
    SELECT p.meter_no, p.occurred_at, p.communication_status AS after, lag(p.communication_status) OVER w AS before,
           p.source, COALESCE(p.record_id, p.source_event_id) AS event_id, lead(p.occurred_at) OVER w IS NULL AS is_last, n.was_on
    FROM pg_temp.past_report p JOIN pg_temp.plain_meter n ON n.meter_no = p.meter_no WHERE p.communication_status IS NOT NULL
    WINDOW w AS (PARTITION BY p.meter_no ORDER BY p.occurred_at);
    INSERT INTO oms_topology.meter_status_event
        (id, meter_id, event_type, source_type, source_event_id, previous_status, new_status, event_timestamp,
         confidence_score, metadata, created_at)
    SELECT gen_random_uuid(), e.id, e.event_type, e.source, e.event_id, e.before, e.after, e.occurred_at, c.confidence,
           e.metadata, clock_timestamp()
    FROM (SELECT m.id, m.meter_no, 'power_' || f.after AS event_type, f.source, f.event_id,
                 COALESCE(f.before, m.power_status, 'unknown') AS before, f.after, f.occurred_at,
                 jsonb_build_object('recorded_after_signal', f.signal_no) AS metadata
          FROM pg_temp.plain_power f JOIN public.oms_meters m ON m.meter_no = f.meter_no
          WHERE f.after IS DISTINCT FROM f.before
          UNION ALL
          SELECT m.id, m.meter_no, CASE h.after WHEN 'offline' THEN 'communication_lost' ELSE 'communication_restored' END,
                 h.source, h.event_id, CASE WHEN h.was_on THEN m.communication_status ELSE h.before END, h.after, h.occurred_at, NULL
          FROM pg_temp.plain_heard h JOIN public.oms_meters m ON m.meter_no = h.meter_no
          WHERE CASE WHEN h.was_on
                     THEN h.is_last AND h.occurred_at >= COALESCE(m.last_communication, '-infinity')
                          AND m.communication_status IN ('online', 'offline') AND h.after <> m.communication_status
                     ELSE h.after <> h.before END) e
    JOIN oms_topology.source_setting c ON c.source = e.source
    ORDER BY e.occurred_at, e.meter_no, e.event_type;
    WITH power AS (
        SELECT f.meter_no, max(f.occurred_at) FILTER (WHERE f.after IS DISTINCT FROM f.before) AS changed_at,
               max(f.occurred_at) AS at, max(f.after) FILTER (WHERE f.is_last) AS status,
               max(f.signal_no) FILTER (WHERE f.is_last) AS signal_no
        FROM pg_temp.plain_power f GROUP BY f.meter_no
    ), heard AS (
        SELECT h.meter_no, max(h.occurred_at) FILTER (WHERE h.after IS DISTINCT FROM h.before) AS changed_at,
               max(h.occurred_at) AS at, max(h.after) FILTER (WHERE h.is_last) AS status
        FROM pg_temp.plain_heard h GROUP BY h.meter_no
    ), updated AS (
        UPDATE public.oms_meters m
        SET previous_power_status = CASE WHEN n.power IS NOT NULL THEN m.power_status ELSE m.previous_power_status END,
            power_status = COALESCE(n.power, m.power_status), own_power_status = n.power, own_power_at = n.power_at,
            last_power_change = n.power_changed_at, power_signal_no = n.signal_no,
            communication_status = CASE WHEN n.heard_at >= COALESCE(m.last_communication, '-infinity')
                THEN n.communication ELSE m.communication_status END,
            last_communication = GREATEST(m.last_communication, n.heard_at),
            last_status_change = GREATEST(n.power_changed_at, n.heard_changed_at), updated_at = clock_timestamp()
        FROM (SELECT COALESCE(p.meter_no, h.meter_no) AS meter_no, p.status AS power, p.at AS power_at,
                     p.changed_at AS power_changed_at, p.signal_no, h.status AS communication, h.at AS heard_at,
                     h.changed_at AS heard_changed_at
              FROM power p FULL JOIN heard h ON h.meter_no = p.meter_no) n
        WHERE m.meter_no = n.meter_no
        RETURNING m.meter_no
    )
    SELECT array_agg(u.meter_no) INTO changed FROM updated u;
    IF changed IS NOT NULL THEN
        PERFORM oms_topology.log_status_change(changed);
    END IF;
    DROP TABLE plain_power, plain_heard;
END $$;

-- Where each active meter is linked by somebody else than the migration: by hand, by survey, or before it. What the
-- registry lacks may stand in the mappings; those of the old link script say nothing.
CREATE VIEW oms_topology.explicit_placement AS
SELECT m.meter_no, m.id AS meter_id, m.location_lng::double precision AS longitude, m.location_lat::double precision AS latitude,
       upper(btrim(m.building_id)) AS building,
       CASE WHEN m.substation_id IS NULL THEN sm.substation_id
            WHEN m.substation_id IS DISTINCT FROM ls.target_id AND m.substation_id IS DISTINCT FROM ls.former_id
            THEN m.substation_id END AS substation_id,
       CASE WHEN m.feeder_id IS NULL THEN fm.feeder_id
            WHEN m.feeder_id IS DISTINCT FROM lf.target_id AND m.feeder_id IS DISTINCT FROM lf.former_id
            THEN m.feeder_id END AS feeder_id,
       CASE WHEN m.dp_id IS DISTINCT FROM ld.target_id AND m.dp_id IS DISTINCT FROM ld.former_id THEN m.dp_id END AS dp_id,
       CASE WHEN m.customer_id IS DISTINCT FROM lc.target_id AND m.customer_id IS DISTINCT FROM lc.former_id
            THEN m.customer_id END AS customer_id
FROM public.oms_meters m
LEFT JOIN oms_topology.meter_link ls ON ls.target_kind = 'substation' AND ls.meter_no = m.meter_no
LEFT JOIN oms_topology.meter_link lf ON lf.target_kind = 'feeder' AND lf.meter_no = m.meter_no
LEFT JOIN oms_topology.meter_link ld ON ld.target_kind = 'distribution_point' AND ld.meter_no = m.meter_no
LEFT JOIN oms_topology.meter_link lc ON lc.target_kind = 'customer' AND lc.meter_no = m.meter_no
LEFT JOIN (
    SELECT DISTINCT ON (f.meter_id) f.meter_id, f.feeder_id
    FROM public.network_feeder_meters f
    JOIN public.network_feeders n ON n.id = f.feeder_id
    JOIN public.oms_meters o ON o.id = f.meter_id AND o.feeder_id IS NULL
    ORDER BY f.meter_id, f.priority NULLS LAST, n.feeder_id COLLATE "C") fm ON fm.meter_id = m.id
LEFT JOIN (
    SELECT DISTINCT ON (s.meter_id) s.meter_id, s.substation_id
    FROM (SELECT x.meter_id, x.substation_id, x.created_at, x.priority,
                 count(*) FILTER (WHERE x.priority = 3) OVER (PARTITION BY x.meter_id) AS threes
          FROM public.network_substation_meters x
          JOIN public.oms_meters o ON o.id = x.meter_id AND o.substation_id IS NULL) s
    JOIN public.network_substations n ON n.id = s.substation_id
    WHERE s.priority IS DISTINCT FROM 3 OR s.threes <= 3
    ORDER BY s.meter_id, s.created_at, n.substation_id COLLATE "C") sm ON sm.meter_id = m.id
WHERE COALESCE(m.status, 'active') = 'active';
COMMENT ON VIEW oms_topology.explicit_placement IS
    'Of each active meter the substation, feeder, distribution point and customer that the migration did not choose; NULL where it may.';
