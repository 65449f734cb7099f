-- oms_meters.feeder_id and substation_id against the mapping tables: two truths, kept equal whichever side is written.
--
-- The registry decides, and the substation follows from the feeder. Where the registry is silent the mappings fill it
-- in: the feeder mapping first in order of priority, else a substation mapping that names its feeder, else the oldest
-- substation mapping. Further feeder mappings are alternates and stay. After each statement (a feeder that
-- moves: when it is committed) holds, for every meter:
--   * with a feeder: the feeder is mapped, the substation is the feeder's, and that one is mapped and names the feeder;
--     no other substation is mapped but those of its alternates;
--   * without a feeder (and without a distribution point, which knows its own): no feeder is mapped; with a substation,
--     that one is mapped; without, none is.
-- Who changes the registry moves the meter, mappings included. Who moves a mapping (UPDATE), or deletes it while another
-- is left, moves the meter too; who deletes the last one does not: it is put back, for a meter loses its supply only
-- where its registry row says so. A mapping that contradicts the meter's feeders goes to quarantine.
--
-- An UPDATE here marks what it moves by hand: then let_go_of_deleted (62) sees to what a cascade has yet to take away.
-- Who writes both sides equal by himself, as the library does, sets oms_topology.keeps_mappings to 'on' meanwhile.

-- A mapping that was only made to follow the registry gives way to one that somebody writes, with its own priority.
ALTER TABLE public.network_feeder_meters ADD COLUMN is_derived boolean NOT NULL DEFAULT false;
ALTER TABLE public.network_substation_meters ADD COLUMN is_derived boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN public.network_feeder_meters.is_derived IS 'Made here to follow oms_meters; an INSERT of the same replaces it.';
COMMENT ON COLUMN public.network_substation_meters.is_derived IS 'Made here to follow oms_meters; an INSERT of the same replaces it.';

-- What a statement moved, from its rows to its end; empty between statements.
CREATE UNLOGGED TABLE oms_topology.moved_meter (
    meter_id      uuid NOT NULL,
    feeder_id     uuid,
    substation_id uuid
);
COMMENT ON TABLE oms_topology.moved_meter IS 'What the registry said before the statement that is running.';

-- Says whether this transaction keeps both sides equal by itself; gives what was said before. A function that writes
-- both says so for its own time: not by a clause SET, which only a superuser may give to a setting that no library has.
CREATE FUNCTION oms_topology.keep_mappings(p_keeps text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    before text := COALESCE(current_setting('oms_topology.keeps_mappings', true), '');
BEGIN
    PERFORM set_config('oms_topology.keeps_mappings', p_keeps, true);
    RETURN before;
END $$;

-- Gives each meter of the registry the feeder and substation that its mappings know, where it has none.
CREATE FUNCTION oms_topology.fill_registry(p_meter_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    filled bigint;
    kept   text := oms_topology.keep_mappings('on');
BEGIN
    WITH known AS (
        SELECT m.id, f.id AS feeder_id,
               CASE WHEN f.id IS NOT NULL THEN f.substation_id
                    ELSE COALESCE(own.id, spread.substation_id) END AS substation_id
        FROM unnest(p_meter_ids) AS u (id)
        JOIN public.oms_meters m ON m.id = u.id
        LEFT JOIN LATERAL (
            SELECT x.feeder_id
            FROM public.network_feeder_meters x JOIN public.network_feeders n ON n.id = x.feeder_id
            WHERE x.meter_id = m.id AND m.feeder_id IS NULL AND m.dp_id IS NULL
            ORDER BY x.priority NULLS LAST, n.feeder_id LIMIT 1) mapped ON true
        LEFT JOIN LATERAL (
            SELECT x.feeder_id
            FROM public.network_substation_meters x
            JOIN public.network_feeders n ON n.id = x.feeder_id AND n.substation_id = x.substation_id
            JOIN public.network_substations s ON s.id = x.substation_id
            WHERE x.meter_id = m.id AND m.feeder_id IS NULL AND m.dp_id IS NULL AND mapped.feeder_id IS NULL
            ORDER BY x.created_at, s.substation_id LIMIT 1) named ON true
        -- A feeder or substation that is being deleted is none; its foreign key has only not come to this row yet.
        LEFT JOIN (public.network_feeders f JOIN public.network_substations fs ON fs.id = f.substation_id)
            ON f.id = COALESCE(m.feeder_id, mapped.feeder_id, named.feeder_id)
        LEFT JOIN public.network_substations own ON own.id = m.substation_id
        LEFT JOIN LATERAL (
            SELECT x.substation_id
            FROM public.network_substation_meters x JOIN public.network_substations s ON s.id = x.substation_id
            WHERE x.meter_id = m.id AND own.id IS NULL
            ORDER BY x.created_at, s.substation_id LIMIT 1) spread ON true
    )
    UPDATE public.oms_meters m SET feeder_id = k.feeder_id, substation_id = k.substation_id, supply_is_stale = true
    FROM known k
    WHERE m.id = k.id AND (m.feeder_id, m.substation_id) IS DISTINCT FROM (k.feeder_id, k.substation_id);
    GET DIAGNOSTICS filled = ROW_COUNT;
    PERFORM oms_topology.keep_mappings(kept);
    RETURN filled;
END $$;

-- Takes the old link script's fan-out of these meters out of use; returns how many rows that were.
CREATE FUNCTION oms_topology.quarantine_fan_out(p_meter_ids uuid[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    removed bigint;
    kept_on text := oms_topology.keep_mappings('on');
BEGIN
    WITH fanned_out AS (
        SELECT s.meter_id
        FROM unnest(p_meter_ids) AS u (meter_id) JOIN public.network_substation_meters s ON s.meter_id = u.meter_id
        WHERE s.priority = 3 GROUP BY s.meter_id HAVING count(*) > 3
    ), gone AS (
        DELETE FROM public.network_substation_meters s USING fanned_out f
        WHERE s.meter_id = f.meter_id AND s.priority = 3
        RETURNING s.meter_id, s.substation_id, to_jsonb(s) AS "row"
    ), kept AS (
        INSERT INTO oms_topology.quarantined_mapping (meter_id, substation_id, reason, "row")
        SELECT meter_id, substation_id, 'fan_out', "row" FROM gone ORDER BY meter_id, substation_id
        ON CONFLICT (meter_id, substation_id, reason) DO NOTHING
    )
    SELECT count(*) INTO removed FROM gone;
    PERFORM oms_topology.keep_mappings(kept_on);
    RETURN removed;
END $$;

-- Makes the mappings of these meters say what the registry says of them.
CREATE FUNCTION oms_topology.align_mappings(
    p_meter_ids uuid[], OUT feeder_mappings bigint, OUT substation_mappings bigint, OUT quarantined bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    before text := oms_topology.keep_mappings('on');
BEGIN
    INSERT INTO public.network_feeder_meters (feeder_id, meter_id, priority, is_derived)
    SELECT f.id, m.id, 1, true
    FROM unnest(p_meter_ids) AS u (id)
    JOIN public.oms_meters m ON m.id = u.id
    JOIN public.network_feeders f ON f.id = m.feeder_id
    WHERE NOT EXISTS (SELECT FROM public.network_feeder_meters x WHERE x.feeder_id = m.feeder_id AND x.meter_id = m.id)
    ON CONFLICT (feeder_id, meter_id) DO NOTHING;
    GET DIAGNOSTICS feeder_mappings = ROW_COUNT;

    -- How critical a meter is does not depend on where it hangs: its priority goes with it.
    WITH wrong AS (
        SELECT s.id, s.substation_id IS DISTINCT FROM m.substation_id AND m.feeder_id IS NOT NULL AND NOT EXISTS (
                   SELECT FROM public.network_feeder_meters x JOIN public.network_feeders n ON n.id = x.feeder_id
                   WHERE x.meter_id = m.id AND n.substation_id = s.substation_id) AS is_elsewhere
        FROM unnest(p_meter_ids) AS u (id)
        JOIN public.oms_meters m ON m.id = u.id
        JOIN public.network_substation_meters s ON s.meter_id = m.id
        WHERE m.feeder_id IS NOT NULL AND s.substation_id IS DISTINCT FROM m.substation_id
           OR s.feeder_id IS DISTINCT FROM m.feeder_id AND s.feeder_id IS NOT NULL
    ), gone AS (
        DELETE FROM public.network_substation_meters s USING wrong w WHERE w.is_elsewhere AND s.id = w.id
        RETURNING s.meter_id, s.substation_id, s.priority, to_jsonb(s) AS "row"
    ), misnamed AS (
        SELECT s.meter_id, s.substation_id, to_jsonb(s) AS "row"
        FROM wrong w JOIN public.network_substation_meters s ON s.id = w.id
        JOIN public.network_substations n ON n.id = s.substation_id
        WHERE NOT w.is_elsewhere AND s.feeder_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM public.network_feeder_meters x WHERE x.meter_id = s.meter_id AND x.feeder_id = s.feeder_id)
    ), unnamed AS (
        UPDATE public.network_substation_meters s SET feeder_id = NULL FROM misnamed n, public.oms_meters m
        WHERE s.substation_id = n.substation_id AND s.meter_id = n.meter_id AND m.id = n.meter_id
          AND m.substation_id IS DISTINCT FROM s.substation_id
    ), kept AS (
        INSERT INTO oms_topology.quarantined_mapping (meter_id, substation_id, reason, "row")
        SELECT meter_id, substation_id, 'against_feeder', "row" FROM gone
        UNION ALL
        SELECT meter_id, substation_id, 'other_feeder', "row" FROM misnamed
        ORDER BY 1, 2
        ON CONFLICT (meter_id, substation_id, reason) DO NOTHING
    ), stored AS (
        INSERT INTO public.network_substation_meters AS s (substation_id, meter_id, feeder_id, priority, is_derived)
        SELECT n.id, m.id, f.id, COALESCE((SELECT min(g.priority) FROM gone g WHERE g.meter_id = m.id), 4), true
        FROM unnest(p_meter_ids) AS u (id)
        JOIN public.oms_meters m ON m.id = u.id
        JOIN public.network_substations n ON n.id = m.substation_id
        LEFT JOIN public.network_feeders f ON f.id = m.feeder_id
        WHERE NOT EXISTS (
            SELECT FROM public.network_substation_meters x
            WHERE x.substation_id = n.id AND x.meter_id = m.id AND x.feeder_id IS NOT DISTINCT FROM f.id)
        ON CONFLICT (substation_id, meter_id) DO UPDATE SET feeder_id = excluded.feeder_id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM stored), (SELECT count(*) FROM gone) + (SELECT count(*) FROM misnamed)
    INTO substation_mappings, quarantined;
    PERFORM oms_topology.keep_mappings(before);
END $$;

-- Makes both truths equal, for these meters or (NULL) for all: for a registry that has been written without us.
-- Returns how many rows it wrote on each side.
CREATE FUNCTION oms_topology.align_supplies(
    p_meter_ids uuid[] DEFAULT NULL, OUT registry_rows bigint, OUT feeder_mappings bigint,
    OUT substation_mappings bigint, OUT quarantined bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meter_ids  uuid[];
    fanned_out bigint;
BEGIN
    meter_ids := CASE WHEN p_meter_ids IS NULL THEN ARRAY(SELECT id FROM public.oms_meters ORDER BY id)
                      ELSE ARRAY(SELECT DISTINCT id FROM unnest(p_meter_ids) AS u (id) ORDER BY id) END;
    fanned_out := oms_topology.quarantine_fan_out(meter_ids);
    registry_rows := oms_topology.fill_registry(meter_ids);
    SELECT a.feeder_mappings, a.substation_mappings, a.quarantined + fanned_out
    INTO feeder_mappings, substation_mappings, quarantined FROM oms_topology.align_mappings(meter_ids) a;
END $$;

-- The registry was written.
CREATE FUNCTION oms_topology.note_moved_meter() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oms_topology.moved_meter VALUES (OLD.id, OLD.feeder_id, OLD.substation_id);
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.follow_moved_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    meter_ids uuid[];
    feeders   uuid[];
    stations  uuid[];
    kept      text;
BEGIN
    WITH moved AS (DELETE FROM oms_topology.moved_meter RETURNING meter_id, feeder_id, substation_id)
    SELECT array_agg(meter_id), array_agg(feeder_id), array_agg(substation_id) INTO meter_ids, feeders, stations
    FROM moved;
    IF meter_ids IS NULL THEN
        RETURN NULL;
    END IF;
    kept := oms_topology.keep_mappings('on');
    DELETE FROM public.network_feeder_meters x
    USING unnest(meter_ids, feeders) AS u (meter_id, feeder_id), public.oms_meters m
    WHERE x.meter_id = u.meter_id AND x.feeder_id = u.feeder_id
      AND m.id = u.meter_id AND m.feeder_id IS DISTINCT FROM u.feeder_id;
    PERFORM oms_topology.fill_registry(meter_ids);
    -- The mapping goes with the meter, unless it has one there already.
    UPDATE public.network_substation_meters s SET substation_id = n.id, feeder_id = f.id
    FROM unnest(meter_ids, stations) AS u (meter_id, substation_id)
    JOIN public.oms_meters m ON m.id = u.meter_id
    JOIN public.network_substations n ON n.id = m.substation_id
    LEFT JOIN public.network_feeders f ON f.id = m.feeder_id
    WHERE s.meter_id = u.meter_id AND s.substation_id = u.substation_id
      AND (n.id = s.substation_id OR NOT EXISTS (
               SELECT FROM public.network_substation_meters x WHERE x.meter_id = m.id AND x.substation_id = n.id));
    DELETE FROM public.network_substation_meters s
    USING unnest(meter_ids, stations) AS u (meter_id, substation_id), public.oms_meters m
    WHERE s.meter_id = u.meter_id AND s.substation_id = u.substation_id
      AND m.id = u.meter_id AND m.substation_id IS DISTINCT FROM u.substation_id;
    PERFORM oms_topology.align_supplies(meter_ids);
    PERFORM oms_topology.keep_mappings(kept);
    RETURN NULL;
END $$;

-- A new meter is given the substation of its feeder before it is written: to write it again would be the dearest part.
CREATE FUNCTION oms_topology.take_substation_of_feeder() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.substation_id := (SELECT f.substation_id FROM public.network_feeders f WHERE f.id = NEW.feeder_id);
    RETURN NEW;
END $$;

CREATE FUNCTION oms_topology.follow_new_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    meter_ids uuid[];
BEGIN
    SELECT array_agg(id) INTO meter_ids FROM new_rows WHERE feeder_id IS NOT NULL OR substation_id IS NOT NULL;
    IF meter_ids IS NOT NULL THEN
        PERFORM oms_topology.align_supplies(meter_ids);
    END IF;
    RETURN NULL;
END $$;

-- A feeder now hangs on another substation, and its meters with it; as the transaction commits, so that no event has to
-- wait for the rows of its meters while somebody has a change of the network open. Nor does this one wait for a meter that
-- somebody has in hand, who may be waiting for the feeder: what is left over is moved by settle().
CREATE FUNCTION oms_topology.follow_moved_feeder() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    PERFORM oms_topology.move_meters_of_feeders(ARRAY(
        SELECT m.id FROM public.oms_meters m WHERE m.feeder_id = NEW.id ORDER BY m.meter_no FOR NO KEY UPDATE SKIP LOCKED));
    INSERT INTO oms_topology.moved_feeder
    SELECT NEW.id WHERE EXISTS (
        SELECT FROM public.oms_meters m JOIN public.network_feeders f ON f.id = m.feeder_id
        WHERE m.feeder_id = NEW.id AND m.substation_id IS DISTINCT FROM f.substation_id);
    RETURN NULL;
END $$;

-- Takes meters, which the caller has locked, to the substation of their feeder.
CREATE FUNCTION oms_topology.move_meters_of_feeders(p_meter_ids uuid[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.oms_meters m SET substation_id = s.id, supply_is_stale = true
    FROM public.network_feeders f JOIN public.network_substations s ON s.id = f.substation_id
    WHERE m.id = ANY (p_meter_ids) AND m.feeder_id = f.id AND m.substation_id IS DISTINCT FROM s.id;
END $$;

-- Moves what moved feeders have left over; part of settle(), before it locks anything else.
CREATE FUNCTION oms_topology.follow_left_over() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    feeders uuid[];
BEGIN
    WITH moved AS (DELETE FROM oms_topology.moved_feeder RETURNING feeder_id)
    SELECT array_agg(DISTINCT feeder_id) INTO feeders FROM moved;
    IF feeders IS NOT NULL THEN
        PERFORM oms_topology.move_meters_of_feeders(ARRAY(
            SELECT m.id FROM public.oms_meters m WHERE m.feeder_id = ANY (feeders) ORDER BY m.meter_no FOR NO KEY UPDATE));
    END IF;
END $$;

-- The mappings were written. What is done to the registry here is followed by the triggers above.
CREATE FUNCTION oms_topology.follow_feeder_mappings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    meter_ids uuid[];
    gone      uuid[];
    feeders   uuid[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM oms_topology.align_supplies();
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(meter_id) INTO meter_ids FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(meter_id), array_agg(feeder_id) INTO gone, feeders FROM old_rows;
        meter_ids := gone;
    ELSE
        SELECT array_agg(meter_id), array_agg(feeder_id) INTO gone, feeders
        FROM (SELECT meter_id, feeder_id FROM old_rows EXCEPT SELECT meter_id, feeder_id FROM new_rows) x;
        SELECT gone || array_agg(meter_id) INTO meter_ids
        FROM (SELECT meter_id, feeder_id FROM new_rows EXCEPT SELECT meter_id, feeder_id FROM old_rows) x;
    END IF;
    IF meter_ids IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE public.oms_meters m SET feeder_id = left_over.feeder_id, supply_is_stale = true
    FROM unnest(gone, feeders) AS u (meter_id, feeder_id)
    CROSS JOIN LATERAL (
        SELECT x.feeder_id
        FROM public.network_feeder_meters x JOIN public.network_feeders n ON n.id = x.feeder_id
        WHERE x.meter_id = u.meter_id ORDER BY x.priority NULLS LAST, n.feeder_id LIMIT 1) left_over
    WHERE m.id = u.meter_id AND m.feeder_id = u.feeder_id AND m.dp_id IS NULL;
    PERFORM oms_topology.align_supplies(meter_ids);
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.follow_substation_mappings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    meter_ids uuid[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM oms_topology.align_supplies();
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        SELECT array_agg(meter_id) INTO meter_ids FROM new_rows;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(meter_id) INTO meter_ids FROM old_rows;
        UPDATE public.oms_meters m SET substation_id = left_over.substation_id, supply_is_stale = true
        FROM old_rows o
        CROSS JOIN LATERAL (
            SELECT x.substation_id
            FROM public.network_substation_meters x JOIN public.network_substations n ON n.id = x.substation_id
            WHERE x.meter_id = o.meter_id AND x.substation_id <> o.substation_id
            ORDER BY x.created_at, n.substation_id LIMIT 1) left_over
        WHERE m.id = o.meter_id AND m.substation_id = o.substation_id AND m.feeder_id IS NULL;
    ELSE
        SELECT array_agg(x.meter_id) INTO meter_ids
        FROM ((SELECT meter_id, substation_id, feeder_id, priority FROM new_rows
               EXCEPT SELECT meter_id, substation_id, feeder_id, priority FROM old_rows)
              UNION ALL
              (SELECT meter_id, substation_id, feeder_id, priority FROM old_rows
               EXCEPT SELECT meter_id, substation_id, feeder_id, priority FROM new_rows)) x;
        -- The row that said where the meter was says now where it is.
        UPDATE public.oms_meters m
        SET feeder_id = CASE WHEN f.id IS NOT NULL THEN f.id ELSE m.feeder_id END, substation_id = n.substation_id,
            supply_is_stale = true
        FROM old_rows o
        JOIN new_rows n ON n.id = o.id AND n.meter_id = o.meter_id
        LEFT JOIN public.network_feeders f ON f.id = n.feeder_id AND f.substation_id = n.substation_id
        WHERE m.id = n.meter_id AND m.substation_id = o.substation_id AND m.feeder_id IS NOT DISTINCT FROM o.feeder_id
          AND (n.substation_id <> o.substation_id OR f.id IS DISTINCT FROM o.feeder_id)
          AND (f.id IS NOT NULL OR m.feeder_id IS NULL);
    END IF;
    IF meter_ids IS NOT NULL THEN
        PERFORM oms_topology.align_supplies(meter_ids);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.give_way() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept text := oms_topology.keep_mappings('on');
BEGIN
    IF TG_TABLE_NAME = 'network_feeder_meters' THEN
        DELETE FROM public.network_feeder_meters
        WHERE feeder_id = NEW.feeder_id AND meter_id = NEW.meter_id AND is_derived;
    ELSE
        DELETE FROM public.network_substation_meters
        WHERE substation_id = NEW.substation_id AND meter_id = NEW.meter_id AND is_derived;
    END IF;
    PERFORM oms_topology.keep_mappings(kept);
    RETURN NEW;
END $$;

CREATE TRIGGER oms_topology_give_way BEFORE INSERT ON public.network_feeder_meters
    FOR EACH ROW WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.give_way();
CREATE TRIGGER oms_topology_give_way BEFORE INSERT ON public.network_substation_meters
    FOR EACH ROW WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.give_way();

-- By their names these go before those of 64: a meter that is filled in here needs no mark there.
CREATE TRIGGER oms_topology_both_truths_note AFTER UPDATE OF feeder_id, substation_id, dp_id ON public.oms_meters
    FOR EACH ROW
    WHEN ((OLD.feeder_id, OLD.substation_id, OLD.dp_id) IS DISTINCT FROM (NEW.feeder_id, NEW.substation_id, NEW.dp_id)
          AND current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.note_moved_meter();
CREATE TRIGGER oms_topology_both_truths_update AFTER UPDATE OF feeder_id, substation_id, dp_id ON public.oms_meters
    FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_moved_meters();
CREATE TRIGGER oms_topology_both_truths_fill BEFORE INSERT ON public.oms_meters
    FOR EACH ROW
    WHEN (NEW.feeder_id IS NOT NULL AND NEW.substation_id IS NULL
          AND current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.take_substation_of_feeder();
CREATE TRIGGER oms_topology_both_truths_insert AFTER INSERT ON public.oms_meters
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_new_meters();
CREATE CONSTRAINT TRIGGER oms_topology_both_truths_update AFTER UPDATE OF substation_id ON public.network_feeders
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (OLD.substation_id IS DISTINCT FROM NEW.substation_id)
    EXECUTE FUNCTION oms_topology.follow_moved_feeder();

CREATE TRIGGER oms_topology_both_truths_insert AFTER INSERT ON public.network_feeder_meters
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_feeder_mappings();
CREATE TRIGGER oms_topology_both_truths_update AFTER UPDATE ON public.network_feeder_meters
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_feeder_mappings();
CREATE TRIGGER oms_topology_both_truths_delete AFTER DELETE ON public.network_feeder_meters
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_feeder_mappings();
CREATE TRIGGER oms_topology_both_truths_truncate AFTER TRUNCATE ON public.network_feeder_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_feeder_mappings();

CREATE TRIGGER oms_topology_both_truths_insert AFTER INSERT ON public.network_substation_meters
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_substation_mappings();
CREATE TRIGGER oms_topology_both_truths_update AFTER UPDATE ON public.network_substation_meters
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_substation_mappings();
CREATE TRIGGER oms_topology_both_truths_delete AFTER DELETE ON public.network_substation_meters
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT
    WHEN (current_setting('oms_topology.keeps_mappings', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.follow_substation_mappings();
CREATE TRIGGER oms_topology_both_truths_truncate AFTER TRUNCATE ON public.network_substation_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.follow_substation_mappings();
