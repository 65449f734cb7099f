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

-- Reports of the past, as pairs of signal and meter: what the audit tells of an instant already is not told again,
-- and what is newer stands.
CREATE FUNCTION oms_topology.record_past_reports(p_signal_nos bigint[], p_meter_nos integer[], p_communication_statuses text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    said record;
BEGIN
    PERFORM FROM public.oms_meters WHERE meter_no = ANY (p_meter_nos)
    ORDER BY segment_no, position_no, meter_no FOR NO KEY UPDATE;
    INSERT INTO oms_topology.meter_report
        (meter_no, occurred_at, power_status, communication_status, source, source_event_id, signal_no)
    SELECT u.meter_no, s.occurred_at, NULLIF(s.power_status, 'unknown'), u.communication_status, s.source, s.source_event_id, s.signal_no
    FROM unnest(p_signal_nos, p_meter_nos, p_communication_statuses) AS u (signal_no, meter_no, communication_status)
    JOIN oms_topology.signal s ON s.signal_no = u.signal_no
    WHERE s.power_status <> 'unknown' OR u.communication_status IS NOT NULL
    ORDER BY u.meter_no, s.occurred_at, s.signal_no;
    SELECT array_agg(DISTINCT u.meter_no) FILTER (WHERE u.communication_status IS NOT NULL) AS heard,
           min(s.occurred_at) FILTER (WHERE u.communication_status IS NOT NULL) AS heard_from,
           array_agg(DISTINCT u.meter_no) FILTER (WHERE s.power_status <> 'unknown') AS powered,
           min(s.occurred_at) FILTER (WHERE s.power_status <> 'unknown') AS powered_from, max(s.signal_no) AS signal_no
    INTO said
    FROM unnest(p_signal_nos, p_meter_nos, p_communication_statuses) AS u (signal_no, meter_no, communication_status)
    JOIN oms_topology.signal s ON s.signal_no = u.signal_no;
    PERFORM set_config('oms_topology.logs_status', 'on', true);
    IF said.heard IS NOT NULL THEN
        PERFORM oms_topology.reassess_communication(said.heard, said.heard_from);
    END IF;
    IF said.powered IS NOT NULL THEN
        PERFORM oms_topology.reassess_meters(said.powered, said.powered_from, said.signal_no);
    END IF;
    PERFORM set_config('oms_topology.logs_status', 'off', true);
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
LEFT JOIN LATERAL (
    SELECT f.feeder_id FROM public.network_feeder_meters f JOIN public.network_feeders n ON n.id = f.feeder_id
    WHERE f.meter_id = m.id AND m.feeder_id IS NULL
    ORDER BY f.priority NULLS LAST, n.feeder_id COLLATE "C" LIMIT 1) fm ON true
LEFT JOIN LATERAL (
    SELECT s.substation_id FROM public.network_substation_meters s JOIN public.network_substations n ON n.id = s.substation_id
    WHERE s.meter_id = m.id AND m.substation_id IS NULL AND NOT oms_topology.is_fan_out(m.id, s.priority)
    ORDER BY s.created_at, n.substation_id COLLATE "C" LIMIT 1) sm ON true
WHERE COALESCE(m.status, 'active') = 'active';
COMMENT ON VIEW oms_topology.explicit_placement IS
    'Of each active meter the substation, feeder, distribution point and customer that the migration did not choose; NULL where it may.';
