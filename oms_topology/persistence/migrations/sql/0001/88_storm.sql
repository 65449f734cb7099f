-- Storm mode: the row of oms_storm_mode_config that says whether there is one, how it came to that, and the
-- reports from which it is worked out. The rule itself is oms_topology/outages/storm.py.

CREATE TABLE oms_topology.storm_setting (
    is_only             boolean  PRIMARY KEY DEFAULT true,
    activate_per_minute integer  DEFAULT 10,
    calm_share          numeric  NOT NULL DEFAULT 0.5,
    calm_for            interval NOT NULL DEFAULT '30 minutes',
    is_held_off         boolean  NOT NULL DEFAULT false,
    CONSTRAINT storm_setting_is_only_check CHECK (is_only),
    CONSTRAINT storm_setting_activate_per_minute_check CHECK (activate_per_minute > 0),
    CONSTRAINT storm_setting_calm_share_check CHECK (calm_share > 0 AND calm_share < 1),
    CONSTRAINT storm_setting_calm_for_check CHECK (calm_for > '0')
);
COMMENT ON TABLE oms_topology.storm_setting IS
    'What the contract''s storm row has no column for: reports a minute that begin a storm (NULL: none do), the share of the rates that keeps it going, and how long it has to be calm until it is over.';
COMMENT ON COLUMN oms_topology.storm_setting.is_held_off IS
    'A person switched storm mode off: the storm that he saw does not switch it on again.';
INSERT INTO oms_topology.storm_setting DEFAULT VALUES;

CREATE TABLE oms_topology.storm_change (
    change_no  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    is_active  boolean     NOT NULL,
    changed_at timestamptz NOT NULL,
    by_hand    boolean     NOT NULL,
    per_hour   integer,
    logged_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE oms_topology.storm_change IS
    'Each time storm mode went on or off: when, whether a person did it, and how many reports there were in the hour before.';

-- Whoever switches it, the times follow, and it is written down once.
CREATE FUNCTION oms_topology.log_storm() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    per_hour text := NULLIF(current_setting('oms_topology.storm_per_hour', true), '');
BEGIN
    IF NEW.is_active AND NEW.activated_at IS NOT DISTINCT FROM OLD.activated_at THEN
        NEW.activated_at := clock_timestamp();
    ELSIF NOT NEW.is_active AND NEW.deactivated_at IS NOT DISTINCT FROM OLD.deactivated_at THEN
        NEW.deactivated_at := clock_timestamp();
    END IF;
    INSERT INTO oms_topology.storm_change (is_active, changed_at, by_hand, per_hour)
    VALUES (NEW.is_active, CASE WHEN NEW.is_active THEN NEW.activated_at ELSE NEW.deactivated_at END,
            per_hour IS NULL, per_hour::integer);
    UPDATE oms_topology.storm_setting SET is_held_off = per_hour IS NULL AND NOT NEW.is_active;
    RETURN NEW;
END $$;
CREATE TRIGGER oms_topology_log_storm BEFORE UPDATE OF is_active ON public.oms_storm_mode_config
    FOR EACH ROW WHEN (COALESCE(OLD.is_active, false) <> COALESCE(NEW.is_active, false))
    EXECUTE FUNCTION oms_topology.log_storm();

-- When the newest reports of power occurred that were received since an instant: at most so many, and a few more.
-- They are read from the newest back, so that a storm costs no more than a quiet day.
CREATE FUNCTION oms_topology.recent_report_times(p_since timestamptz, p_most integer) RETURNS timestamptz[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    times  timestamptz[] := '{}';
    before bigint := 9223372036854775807;
    part   record;
BEGIN
    LOOP
        SELECT array_agg(s.occurred_at) FILTER (WHERE s.power_status <> 'unknown' AND s.time_is_sound) AS times,
               min(s.signal_no) AS first_no, min(s.received_at) AS first_at
        INTO part
        FROM (SELECT * FROM oms_topology.signal WHERE signal_no < before ORDER BY signal_no DESC LIMIT 500) s;
        EXIT WHEN part.first_no IS NULL;
        times := times || COALESCE(part.times, '{}');
        EXIT WHEN part.first_at < p_since OR cardinality(times) >= p_most;
        before := part.first_no;
    END LOOP;
    RETURN times;
END $$;

-- What storm mode is decided from, one row; NULL where another worker decides just now.
CREATE FUNCTION oms_topology.storm_evidence(p_at timestamptz)
RETURNS TABLE (is_active boolean, activated_at timestamptz, is_held_off boolean, window_minutes integer,
               per_hour integer, per_minute integer, calm_share double precision, calm_for interval, times timestamptz[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('oms_topology.storm'), 0) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT COALESCE(c.is_active, false), COALESCE(c.activated_at, p_at), s.is_held_off, c.correlation_window_minutes,
           NULLIF(GREATEST(c.auto_activation_threshold, 0), 0), s.activate_per_minute, s.calm_share::double precision,
           s.calm_for,
           oms_topology.recent_report_times(p_at - s.calm_for - interval '65 minutes',
               LEAST(GREATEST(20 * GREATEST(c.auto_activation_threshold, s.activate_per_minute), 2000), 100000))
    FROM public.oms_storm_mode_config c CROSS JOIN oms_topology.storm_setting s
    LIMIT 1;
END $$;

-- Switches storm mode where it stands otherwise, and lets go of what a person held off once it is calm; tells
-- whether it was switched. The caller holds the lock of storm_evidence.
CREATE FUNCTION oms_topology.settle_storm(p_is_active boolean, p_at timestamptz, p_per_hour integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    switched integer := 0;
BEGIN
    IF p_is_active AND (SELECT s.is_held_off FROM oms_topology.storm_setting s) THEN
        RETURN false;
    END IF;
    PERFORM set_config('oms_topology.storm_per_hour', p_per_hour::text, true);
    UPDATE public.oms_storm_mode_config c
    SET is_active = p_is_active,
        activated_at = CASE WHEN p_is_active THEN p_at ELSE c.activated_at END,
        deactivated_at = CASE WHEN p_is_active THEN c.deactivated_at ELSE p_at END
    WHERE COALESCE(c.is_active, false) <> p_is_active;
    GET DIAGNOSTICS switched = ROW_COUNT;
    PERFORM set_config('oms_topology.storm_per_hour', '', true);
    UPDATE oms_topology.storm_setting SET is_held_off = false WHERE is_held_off;
    RETURN switched > 0;
END $$;
