-- Keeps oms_topology.device and the supply columns of oms_meters in step with the contract's tables.
-- Triggers only mark what a change touched; settle() computes it, once, when somebody needs it. A mark is
-- written even where one stands already: the row stays locked then, and a settle() that runs meanwhile
-- waits for this transaction instead of taking the older mark for all there is.
--
-- Statements here keep their plans as long as a session lasts, and the first change it makes may be of one row.
-- With sequential scans switched off, what is kept looks things up by key, and bears a change of a whole registry.

-- A device that was stored without a row of the contract's tables gets it when somebody adds the row. A row with
-- an empty code is nothing that could be asked for, and makes no device. A code is written only where it is new:
-- a row whose key is written is locked against everything that refers to it, and events would wait.
CREATE FUNCTION oms_topology.follow_substations() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE oms_topology.device d SET record_id = r.id
    FROM new_rows r WHERE d.kind = 'substation' AND d.code = r.substation_id AND d.record_id IS NULL;
    UPDATE oms_topology.device d SET code = r.substation_id, is_stale = true
    FROM new_rows r WHERE d.kind = 'substation' AND d.record_id = r.id AND d.code <> r.substation_id AND r.substation_id <> '';
    INSERT INTO oms_topology.device (kind, code, name, record_id, is_source, longitude, latitude)
    SELECT 'substation', r.substation_id, r.name, r.id, true, r.location_lng, r.location_lat
    FROM new_rows r WHERE r.substation_id <> ''
    ON CONFLICT (kind, record_id) DO UPDATE
        SET name = excluded.name, longitude = excluded.longitude, latitude = excluded.latitude;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.follow_feeders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE oms_topology.device d SET record_id = r.id
    FROM new_rows r WHERE d.kind = 'feeder' AND d.code = r.feeder_id AND d.record_id IS NULL;
    UPDATE oms_topology.device d SET code = r.feeder_id, is_stale = true
    FROM new_rows r WHERE d.kind = 'feeder' AND d.record_id = r.id AND d.code <> r.feeder_id AND r.feeder_id <> '';
    INSERT INTO oms_topology.device (kind, code, name, record_id, parent_no, normal_parent_no, longitude, latitude)
    SELECT 'feeder', r.feeder_id, r.name, r.id, p.device_no, p.device_no, r.location_lng, r.location_lat
    FROM new_rows r
    LEFT JOIN LATERAL (SELECT d.device_no FROM oms_topology.device d
                       WHERE d.kind = 'substation' AND d.record_id = r.substation_id OFFSET 0) p ON true
    WHERE r.feeder_id <> ''
    ON CONFLICT (kind, record_id) DO UPDATE
        SET name = excluded.name, longitude = excluded.longitude, latitude = excluded.latitude,
            is_stale = device.is_stale
                OR NOT device.parent_is_explicit AND device.parent_no IS DISTINCT FROM excluded.parent_no,
            normal_parent_no = CASE WHEN device.parent_is_explicit
                THEN device.normal_parent_no ELSE excluded.normal_parent_no END,
            parent_no = CASE WHEN device.parent_is_explicit
                THEN device.parent_no ELSE excluded.parent_no END;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.follow_distribution_points() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE oms_topology.device d SET record_id = r.id
    FROM new_rows r WHERE d.kind = 'distribution_point' AND d.code = r.dp_id AND d.record_id IS NULL;
    UPDATE oms_topology.device d SET code = r.dp_id, is_stale = true
    FROM new_rows r WHERE d.kind = 'distribution_point' AND d.record_id = r.id AND d.code <> r.dp_id AND r.dp_id <> '';
    INSERT INTO oms_topology.device (kind, code, name, record_id, parent_no, normal_parent_no, longitude, latitude)
    SELECT 'distribution_point', r.dp_id, r.name, r.id, p.device_no, p.device_no, r.location_lng, r.location_lat
    FROM new_rows r
    LEFT JOIN LATERAL (SELECT d.device_no FROM oms_topology.device d
                       WHERE d.kind = 'feeder' AND d.record_id = r.feeder_id OFFSET 0) p ON true
    WHERE r.dp_id <> ''
    ON CONFLICT (kind, record_id) DO UPDATE
        SET name = excluded.name, longitude = excluded.longitude, latitude = excluded.latitude,
            is_stale = device.is_stale
                OR NOT device.parent_is_explicit AND device.parent_no IS DISTINCT FROM excluded.parent_no,
            normal_parent_no = CASE WHEN device.parent_is_explicit
                THEN device.normal_parent_no ELSE excluded.normal_parent_no END,
            parent_no = CASE WHEN device.parent_is_explicit
                THEN device.parent_no ELSE excluded.parent_no END;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.mark_device() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.is_stale := true;
    RETURN NEW;
END $$;

-- A surveyed distribution point goes before the feeder that a meter names.
CREATE FUNCTION oms_topology.mark_surveyed_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.oms_meters SET supply_is_stale = true WHERE dp_id = NEW.record_id;
    RETURN NULL;
END $$;

-- Whether a distribution point or the meter's own feeder decides depends on the point's feeder.
CREATE FUNCTION oms_topology.mark_refed_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    -- A join of the two would be done pair by pair where its plan was kept from a small change.
    UPDATE public.oms_meters SET supply_is_stale = true WHERE dp_id = ANY (ARRAY(
        SELECT x.id FROM (SELECT id, feeder_id FROM new_rows EXCEPT SELECT id, feeder_id FROM old_rows) x));
    RETURN NULL;
END $$;

-- What fed a deleted device and the meters on it are marked before it goes; what it fed is by its foreign key.
CREATE FUNCTION oms_topology.forget_devices() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    gone  integer[];
    above integer[];
BEGIN
    SELECT array_agg(x.device_no), array_agg(x.parent_no) INTO gone, above
    FROM old_rows r CROSS JOIN LATERAL (
        SELECT d.device_no, d.parent_no FROM oms_topology.device d
        WHERE d.kind = TG_ARGV[0] AND d.record_id = r.id OFFSET 0) x;
    above := ARRAY(SELECT unnest(above) EXCEPT SELECT unnest(gone));
    UPDATE oms_topology.device SET is_stale = true WHERE device_no = ANY (above);
    IF NOT FOUND THEN
        -- Whatever is marked makes a new version, and only that tells running graphs that a source is gone.
        UPDATE oms_topology.device SET is_stale = true
        WHERE device_no = (SELECT min(device_no) FROM oms_topology.device WHERE device_no <> ALL (gone));
    END IF;
    UPDATE public.oms_meters SET supply_is_stale = true WHERE device_no = ANY (gone) OR meter_no = ANY (ARRAY(
        SELECT meter_no FROM oms_topology.alternate_supply WHERE device_no = ANY (gone)));
    DELETE FROM oms_topology.device WHERE device_no = ANY (gone);
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.forget_all_devices() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE oms_topology.device SET is_stale = true WHERE kind <> TG_ARGV[0];
    UPDATE public.oms_meters SET supply_is_stale = true;
    DELETE FROM oms_topology.device WHERE kind = TG_ARGV[0];
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.mark_meter() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.substation_id IS NULL AND OLD.substation_id IS NOT NULL OR NEW.feeder_id IS NULL AND OLD.feeder_id IS NOT NULL THEN
        -- It may have been deleted with all that hangs below it, which goes next: a meter that was inserted in the same
        -- transaction would be refused by the keys to that before their own SET NULL comes to it.
        NEW.feeder_id := (SELECT f.id FROM public.network_feeders f LEFT JOIN public.network_substations s ON s.id = f.substation_id
                          WHERE f.id = NEW.feeder_id AND (s.id IS NOT NULL OR f.substation_id IS NULL));
        NEW.dp_id := (SELECT p.id FROM public.network_distribution_points p
                      LEFT JOIN public.network_feeders f ON f.id = p.feeder_id
                      LEFT JOIN public.network_substations s ON s.id = f.substation_id
                      WHERE p.id = NEW.dp_id AND (f.id IS NOT NULL OR p.feeder_id IS NULL)
                        AND (s.id IS NOT NULL OR f.substation_id IS NULL));
    END IF;
    NEW.supply_is_stale := true;
    -- Whoever moves a meter by its contract columns means them.
    NEW.device_is_explicit := NEW.device_is_explicit
        AND (NEW.device_no IS DISTINCT FROM OLD.device_no
             OR (NEW.substation_id, NEW.feeder_id, NEW.dp_id)
                IS NOT DISTINCT FROM (OLD.substation_id, OLD.feeder_id, OLD.dp_id));
    RETURN NEW;
END $$;

-- While a delete cascades, a meter may still name what is gone already: then its mark would be refused by
-- the foreign key whose own SET NULL is yet to come.
CREATE FUNCTION oms_topology.let_go_of_deleted() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.substation_id := (SELECT id FROM public.network_substations WHERE id = NEW.substation_id);
    NEW.feeder_id := (SELECT id FROM public.network_feeders WHERE id = NEW.feeder_id);
    NEW.dp_id := (SELECT id FROM public.network_distribution_points WHERE id = NEW.dp_id);
    RETURN NEW;
END $$;

-- The changed rows lead and each meter is looked up by its key: a plan that was kept from a small change must not
-- read the whole of a large one once for every meter.
CREATE FUNCTION oms_topology.mark_feeder_mappings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE public.oms_meters SET supply_is_stale = true WHERE id = ANY (ARRAY(
        SELECT x.id FROM changed_rows r
        CROSS JOIN LATERAL (
            SELECT m.id, m.feeder_id, m.dp_id FROM public.oms_meters m WHERE m.id = r.meter_id OFFSET 0) x
        WHERE x.feeder_id IS DISTINCT FROM r.feeder_id
           -- Then the distribution point may be what decides, and the meter's own feeder an alternate.
           OR EXISTS (SELECT FROM public.network_distribution_points p
                      WHERE p.id = x.dp_id AND p.feeder_id <> x.feeder_id)));
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.mark_substation_mappings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    UPDATE public.oms_meters SET supply_is_stale = true WHERE id = ANY (ARRAY(
        SELECT x.id FROM changed_rows r
        CROSS JOIN LATERAL (
            SELECT m.id, m.substation_id FROM public.oms_meters m
            WHERE m.id = r.meter_id AND m.feeder_id IS NULL OFFSET 0) x
        WHERE x.substation_id IS DISTINCT FROM r.substation_id OR r.priority = 3));  -- 3 may be one fan-out more
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.forget_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM oms_topology.alternate_supply a USING old_rows r WHERE a.meter_no = r.meter_no;
    DELETE FROM oms_topology.provisional_meter p USING old_rows r WHERE p.meter_no = r.meter_no;
    UPDATE oms_topology.device d SET is_stale = true FROM old_rows r WHERE d.device_no = r.device_no;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.forget_all_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM oms_topology.alternate_supply;
    DELETE FROM oms_topology.provisional_meter;
    UPDATE oms_topology.device SET is_stale = true;
    DELETE FROM oms_topology.meter_report;
    DELETE FROM public.scada_event_affected_meters;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.mark_mapped_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.oms_meters SET supply_is_stale = true
    WHERE has_alternates OR feeder_id IS NULL;
    RETURN NULL;
END $$;

-- The root of each device's supply tree, by walking up; a walk longer than the number of devices is a
-- loop in the tables, and its devices get no place (validate() reports them).
CREATE FUNCTION oms_topology.stale_roots() RETURNS TABLE (root_no integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE up AS (
        -- A marked device under a marked one is reached from there.
        SELECT d.device_no AS start_no, d.device_no, d.parent_no, ARRAY[d.device_no] AS seen
        FROM oms_topology.device d
        LEFT JOIN oms_topology.device p ON p.device_no = d.parent_no
        WHERE d.is_stale AND p.is_stale IS NOT TRUE
        UNION ALL
        SELECT up.start_no, d.device_no, d.parent_no, up.seen || d.device_no
        FROM up JOIN oms_topology.device d ON d.device_no = up.parent_no
        WHERE d.device_no <> ALL (up.seen)
    )
    SELECT DISTINCT device_no FROM up WHERE parent_no IS NULL
$$;

-- Numbers one supply tree in preorder: children in the order of their numbers, so that a new run gives the same.
-- Returns the devices whose number changed. By the indexes only: after a bulk load the planner knows nothing of
-- the table yet, and would read the whole of it for each tree.
CREATE FUNCTION oms_topology.number_tree(p_root_no integer) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    nos     integer[];
    depths  integer[];
    lasts   integer[];
    parents integer[];
    stack   integer[] := '{}';
    top     integer := 0;
    moved   integer[];
BEGIN
    WITH RECURSIVE down AS (
        SELECT device_no, parent_no, 0 AS depth, ARRAY[device_no] AS path
        FROM oms_topology.device WHERE device_no = p_root_no AND parent_no IS NULL
        UNION ALL
        SELECT d.device_no, d.parent_no, down.depth + 1, down.path || d.device_no
        FROM down JOIN oms_topology.device d ON d.parent_no = down.device_no
    )
    SELECT array_agg(device_no ORDER BY path), array_agg(depth ORDER BY path), array_agg(parent_no ORDER BY path)
    INTO nos, depths, parents FROM down;
    IF nos IS NULL THEN
        RETURN '{}';
    END IF;
    lasts := array_fill(cardinality(nos), ARRAY[cardinality(nos)]);
    FOR i IN 1 .. cardinality(nos) LOOP
        WHILE top > 0 AND depths[stack[top]] >= depths[i] LOOP
            lasts[stack[top]] := i - 1;
            top := top - 1;
        END LOOP;
        top := top + 1;
        stack[top] := i;
    END LOOP;
    WITH numbered AS (
        UPDATE oms_topology.device d
        SET segment_no = p_root_no, position_no = n.position_no, last_position_no = n.last_no,
            depth = n.depth, is_stale = false
        FROM (SELECT unnest(nos) AS device_no, generate_subscripts(nos, 1) AS position_no,
                     unnest(lasts) AS last_no, unnest(depths) AS depth, unnest(parents) AS parent_no) n
        JOIN oms_topology.device o ON o.device_no = n.device_no
        -- What another transaction has moved since keeps its mark.
        WHERE d.device_no = n.device_no AND d.parent_no IS NOT DISTINCT FROM n.parent_no
          AND (o.is_stale OR (o.segment_no, o.position_no, o.last_position_no, o.depth)
               IS DISTINCT FROM (p_root_no, n.position_no, n.last_no, n.depth))
        RETURNING d.device_no, (o.segment_no, o.position_no) IS DISTINCT FROM (p_root_no, n.position_no) AS is_moved
    )
    SELECT COALESCE(array_agg(device_no) FILTER (WHERE is_moved), '{}') INTO moved FROM numbered;
    RETURN moved;
END $$;

-- Whether a mapping comes from the old link script, which gave a meter without a place to every substation.
CREATE FUNCTION oms_topology.is_fan_out(p_meter_id uuid, p_priority integer) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_priority = 3 AND
           (SELECT count(*) FROM public.network_substation_meters
            WHERE meter_id = p_meter_id AND priority = 3) > 3
$$;

-- Which device normally feeds a meter (decisions on supply): the distribution point where it agrees
-- with the meter's feeder or was surveyed, else the feeder, else the substation, else its mappings.
CREATE FUNCTION oms_topology.normal_devices(p_meter_nos integer[])
RETURNS TABLE (meter_no integer, device_no integer, feeder_id uuid, substation_id uuid)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.meter_no,
           CASE WHEN given.device_no IS NOT NULL THEN given.device_no
                WHEN dp.id IS NOT NULL AND (m.feeder_id IS NULL OR dp.feeder_id = m.feeder_id OR dpd.is_surveyed)
                THEN dpd.device_no
                ELSE COALESCE(fd.device_no, mapped.device_no, sd.device_no, spread.device_no) END,
           CASE WHEN dp.id IS NOT NULL AND (m.feeder_id IS NULL OR dp.feeder_id = m.feeder_id OR dpd.is_surveyed)
                THEN dp.feeder_id ELSE COALESCE(m.feeder_id, mapped.feeder_id) END,
           CASE WHEN m.feeder_id IS NULL AND dp.id IS NULL AND mapped.feeder_id IS NULL
                THEN COALESCE(m.substation_id, spread.substation_id) END
    FROM public.oms_meters m
    LEFT JOIN oms_topology.device given ON m.device_is_explicit AND given.device_no = m.device_no
    LEFT JOIN public.network_distribution_points dp ON dp.id = m.dp_id
    LEFT JOIN LATERAL (SELECT d.device_no, d.is_surveyed FROM oms_topology.device d
                       WHERE d.kind = 'distribution_point' AND d.record_id = dp.id OFFSET 0) dpd ON true
    LEFT JOIN LATERAL (SELECT d.device_no FROM oms_topology.device d
                       WHERE d.kind = 'feeder' AND d.record_id = m.feeder_id OFFSET 0) fd ON true
    LEFT JOIN LATERAL (SELECT d.device_no FROM oms_topology.device d
                       WHERE d.kind = 'substation' AND d.record_id = m.substation_id OFFSET 0) sd ON true
    LEFT JOIN LATERAL (
        SELECT d.device_no, f.feeder_id
        FROM public.network_feeder_meters f
        JOIN oms_topology.device d ON d.kind = 'feeder' AND d.record_id = f.feeder_id
        WHERE f.meter_id = m.id AND m.feeder_id IS NULL
        ORDER BY f.priority NULLS LAST, d.code LIMIT 1) mapped ON true
    LEFT JOIN LATERAL (
        SELECT d.device_no, s.substation_id
        FROM public.network_substation_meters s
        JOIN oms_topology.device d ON d.kind = 'substation' AND d.record_id = s.substation_id
        WHERE s.meter_id = m.id AND m.feeder_id IS NULL AND m.substation_id IS NULL
          AND NOT oms_topology.is_fan_out(m.id, s.priority)
        ORDER BY s.created_at, d.code LIMIT 1) spread ON true
    WHERE m.meter_no = ANY (p_meter_nos) AND COALESCE(m.status, 'active') = 'active'
$$;

-- Places the given meters, by sets; returns the segments they left or joined.
CREATE FUNCTION oms_topology.place_meters(p_meter_nos integer[]) RETURNS integer[]
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    touched integer[];
BEGIN
    DELETE FROM oms_topology.alternate_supply WHERE meter_no = ANY (p_meter_nos) AND NOT is_explicit;
    WITH placed AS (
        SELECT n.meter_no, n.device_no, n.feeder_id, n.substation_id, d.segment_no, d.position_no
        FROM oms_topology.normal_devices(p_meter_nos) n
        LEFT JOIN oms_topology.device d ON d.device_no = n.device_no
    ), alternate AS (
        INSERT INTO oms_topology.alternate_supply
            (meter_no, device_no, priority, normal_segment_no, segment_no, position_no)
        SELECT p.meter_no, d.device_no, COALESCE(f.priority, 4), p.segment_no, d.segment_no, d.position_no
        FROM placed p
        JOIN public.oms_meters m ON m.meter_no = p.meter_no
        JOIN public.network_feeder_meters f ON f.meter_id = m.id AND f.feeder_id IS DISTINCT FROM p.feeder_id
        JOIN oms_topology.device d ON d.kind = 'feeder' AND d.record_id = f.feeder_id
        WHERE p.feeder_id IS NOT NULL
        UNION ALL
        SELECT p.meter_no, d.device_no, COALESCE(s.priority, 4), p.segment_no, d.segment_no, d.position_no
        FROM placed p
        JOIN public.oms_meters m ON m.meter_no = p.meter_no
        JOIN public.network_substation_meters s
            ON s.meter_id = m.id AND s.substation_id IS DISTINCT FROM p.substation_id
        JOIN oms_topology.device d ON d.kind = 'substation' AND d.record_id = s.substation_id
        WHERE p.feeder_id IS NULL AND NOT oms_topology.is_fan_out(m.id, s.priority)
        ON CONFLICT (meter_no, device_no) DO NOTHING
        RETURNING meter_no, segment_no
    ), given AS (
        UPDATE oms_topology.alternate_supply a
        SET normal_segment_no = p.segment_no,
            segment_no = CASE WHEN p.meter_no IS NOT NULL THEN d.segment_no END,
            position_no = CASE WHEN p.meter_no IS NOT NULL THEN d.position_no END
        FROM oms_topology.device d, unnest(p_meter_nos) AS u (meter_no)
        LEFT JOIN placed p ON p.meter_no = u.meter_no
        WHERE a.is_explicit AND a.meter_no = u.meter_no AND d.device_no = a.device_no
        RETURNING a.meter_no, a.segment_no
    ), before AS (
        SELECT meter_no, meter_number, segment_no, listed_device_no
        FROM public.oms_meters WHERE meter_no = ANY (p_meter_nos)
    ), updated AS (
        UPDATE public.oms_meters m
        -- A meter that is taken out of service keeps the device it was given, and comes back to it.
        SET device_no = CASE WHEN p.device_no IS NULL AND m.device_is_explicit THEN m.device_no ELSE p.device_no END,
            listed_device_no = p.listed_device_no, segment_no = p.segment_no, position_no = p.position_no,
            has_alternates = EXISTS (SELECT FROM alternate a WHERE a.meter_no = m.meter_no)
                OR EXISTS (SELECT FROM given g WHERE g.meter_no = m.meter_no),
            supply_is_stale = false
        FROM (SELECT b.meter_no, q.device_no, q.segment_no, q.position_no,
                     CASE WHEN q.meter_no IS NOT NULL THEN COALESCE(q.device_no, -1) END AS listed_device_no
              FROM before b LEFT JOIN placed q ON q.meter_no = b.meter_no ORDER BY b.meter_no) p
        WHERE m.meter_no = p.meter_no
        RETURNING m.meter_no, m.segment_no, m.listed_device_no
    ), listed AS (
        INSERT INTO oms_topology.topology_before (meter_nos, meter_numbers, meter_device_nos)
        SELECT array_agg(b.meter_no), array_agg(CASE WHEN b.listed_device_no IS NOT NULL THEN b.meter_number END),
               array_agg(b.listed_device_no)
        FROM before b JOIN updated u ON u.meter_no = b.meter_no
        WHERE b.listed_device_no IS DISTINCT FROM u.listed_device_no HAVING count(*) > 0
    )
    SELECT array_agg(DISTINCT s.segment_no) INTO touched
    FROM (SELECT segment_no FROM updated UNION SELECT segment_no FROM before
          UNION SELECT segment_no FROM alternate UNION SELECT segment_no FROM given) s
    WHERE s.segment_no IS NOT NULL;
    RETURN COALESCE(touched, '{}');
END $$;

-- Brings the preorder up to date with the marks that it finds, and holds the topology lock from then on; tells the
-- segments concerned, and how many meters. Makes no version: that is left to settle(), in the same transaction.
CREATE FUNCTION oms_topology.settle_marks(OUT touched integer[], OUT meter_count integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = auto AS $$
DECLARE
    roots   integer[];
    marked  integer[];
    parents integer[];
    moved   integer[];
    lost    integer[];
    stale   integer[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('oms_topology.topology'));
    PERFORM oms_topology.follow_left_over();
    SELECT array_agg(device_no), array_agg(parent_no), array_agg(DISTINCT segment_no) FILTER (WHERE segment_no IS NOT NULL)
    INTO marked, parents, touched FROM oms_topology.device WHERE is_stale;
    SELECT array_agg(root_no) INTO roots FROM oms_topology.stale_roots();
    IF roots IS NOT NULL THEN
        SELECT array_agg(n.device_no) INTO moved
        FROM unnest(roots) AS r (root_no) CROSS JOIN LATERAL unnest(oms_topology.number_tree(r.root_no)) AS n (device_no);
        WITH carried AS (
            UPDATE public.oms_meters m SET segment_no = d.segment_no, position_no = d.position_no
            FROM oms_topology.device d
            WHERE d.device_no = ANY (moved) AND m.device_no = d.device_no AND NOT m.supply_is_stale
              AND COALESCE(m.status, 'active') = 'active'
            RETURNING m.meter_no, m.segment_no
        )
        UPDATE oms_topology.alternate_supply a SET normal_segment_no = c.segment_no
        FROM carried c WHERE a.meter_no = c.meter_no;
        UPDATE oms_topology.alternate_supply a SET segment_no = d.segment_no, position_no = d.position_no
        FROM oms_topology.device d, public.oms_meters m
        WHERE d.device_no = ANY (moved) AND a.device_no = d.device_no
          AND m.meter_no = a.meter_no AND COALESCE(m.status, 'active') = 'active';
        PERFORM oms_topology.place_device_states(roots);
        touched := touched || roots;
    END IF;
    -- A loop in the tables, and what hangs on it, has no place, and is not tried again until it changes. A device
    -- that another transaction has moved since keeps its mark.
    WITH RECURSIVE looped AS (
        SELECT d.device_no, true AS is_marked
        FROM unnest(marked, parents) AS u (device_no, parent_no)
        JOIN oms_topology.device d ON d.device_no = u.device_no AND d.parent_no = u.parent_no
        WHERE d.is_stale
        UNION
        SELECT d.device_no, false FROM looped l JOIN oms_topology.device d ON d.parent_no = l.device_no
    ), unreached AS (
        UPDATE oms_topology.device d
        SET segment_no = NULL, position_no = NULL, last_position_no = NULL, depth = NULL,
            is_stale = d.is_stale AND NOT l.is_marked
        FROM (SELECT device_no, bool_or(is_marked) AS is_marked FROM looped GROUP BY device_no) l
        WHERE d.device_no = l.device_no
        RETURNING d.device_no
    )
    SELECT array_agg(device_no) INTO lost FROM unreached;
    IF lost IS NOT NULL THEN
        UPDATE public.oms_meters SET segment_no = NULL, position_no = NULL WHERE device_no = ANY (lost);
        UPDATE oms_topology.alternate_supply a SET normal_segment_no = NULL
        FROM public.oms_meters m WHERE m.device_no = ANY (lost) AND a.meter_no = m.meter_no;
        UPDATE oms_topology.alternate_supply SET segment_no = NULL, position_no = NULL WHERE device_no = ANY (lost);
        UPDATE oms_topology.device_state
        SET segment_no = NULL, position_no = NULL, last_position_no = NULL, depth = NULL WHERE device_no = ANY (lost);
    END IF;
    -- Whoever has one of these in hand is waited for, and only what is locked is placed: a mark set meanwhile is not lost.
    WITH locked AS (SELECT meter_no FROM public.oms_meters WHERE supply_is_stale ORDER BY meter_no FOR NO KEY UPDATE)
    SELECT array_agg(meter_no) INTO stale FROM locked;
    IF stale IS NOT NULL THEN
        touched := touched || oms_topology.place_meters(stale);
    END IF;
    meter_count := COALESCE(cardinality(stale), 0);
END $$;

-- Settles all changes that are committed, as one new version; returns whether there were any. Cheap when not.
-- Holds the topology lock until the transaction ends: shared by readers, exclusive while it changes.
CREATE FUNCTION oms_topology.settle() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    done     record;
    touched  integer[] := '{}';
    meters   integer := 0;
    pending  bigint[];
    is_quiet boolean;
    version  bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM oms_topology.device WHERE is_stale)
       AND NOT EXISTS (SELECT FROM public.oms_meters WHERE supply_is_stale)
       AND NOT EXISTS (SELECT FROM oms_topology.moved_feeder)
       AND NOT EXISTS (SELECT FROM oms_topology.topology_before WHERE topology_version IS NULL) THEN
        PERFORM pg_advisory_xact_lock_shared(hashtext('oms_topology.topology'));
        RETURN false;
    END IF;
    IF current_setting('oms_topology.has_segments', true) = 'on'
       AND NOT pg_try_advisory_xact_lock(hashtext('oms_topology.topology')) THEN
        RETURN false;  -- what is marked is left to the next transaction
    END IF;
    -- What commits meanwhile belongs to this version with all its marks, or to the next with all of its log: one
    -- snapshot sees the log without a mark (why that is right: 66). Under a steady stream of changes the last
    -- round stands as it is, and what it lacks is in the next version.
    FOR round IN 1 .. 8 LOOP
        SELECT * INTO done FROM oms_topology.settle_marks();
        touched := touched || done.touched;
        meters := meters + done.meter_count;
        SELECT COALESCE(array_agg(before_no), '{}'),
               NOT EXISTS (SELECT FROM oms_topology.device WHERE is_stale)
               AND NOT EXISTS (SELECT FROM public.oms_meters WHERE supply_is_stale)
               AND NOT EXISTS (SELECT FROM oms_topology.moved_feeder)
        INTO pending, is_quiet
        FROM oms_topology.topology_before WHERE topology_version IS NULL;
        EXIT WHEN is_quiet;
    END LOOP;
    touched := touched || oms_topology.segments_of_changes(pending);
    INSERT INTO oms_topology.topology_change (changed_at, segment_nos, meter_count)
    SELECT GREATEST(clock_timestamp(), (SELECT changed_at FROM oms_topology.topology_change ORDER BY topology_version DESC LIMIT 1)),
           COALESCE(array_agg(DISTINCT s ORDER BY s), '{}'), meters
    FROM unnest(touched) s
    RETURNING topology_version INTO version;
    PERFORM oms_topology.seal_changes(pending, version);
    RETURN true;
END $$;
