-- The network as it was: topology_before leads from the tables of today back to any earlier version.
--
-- Whatever changes a row of device, branch or alternate_supply, or renames or deletes a meter, writes in its own
-- transaction what stood before, with no version yet. settle() gives the version to all of these that it sees. A
-- meter's place needs no trigger: it changes in settle() alone, which keeps what was settled last in
-- oms_meters.listed_device_no. As of a version, a row is what its first entry after that version says, and what the
-- tables say where there is none.
--
-- Why no change is lost, told twice or told too early, whatever commits in whatever order:
-- * A change and its entry are one transaction: whoever sees the one sees the other. What is open while settle()
--   runs is in neither, and gets the next version. What was committed after the newest version stands in the tables
--   of a reader, but its entry without a version stands there too and takes it back.
-- * settle() reads the entries in one snapshot in which no mark is left (or goes on until that is so): the marks of
--   every change that it gives the version to have been worked off, under its lock, and so are in that version.
-- * Two changes of one row follow one another by its lock, so the entry of the second is never visible without that
--   of the first, and never has the lower number: first by version, then by number, is the order of the changes.

-- The log, one row a thing; whatever was not there before has nothing but its number.
CREATE VIEW oms_topology.device_before AS
SELECT b.topology_version, b.before_no, u.*
FROM oms_topology.topology_before b
CROSS JOIN LATERAL unnest(b.device_nos, b.device_kinds, b.device_codes, b.parent_nos, b.normal_parent_nos, b.are_sources)
    AS u (device_no, kind, code, parent_no, normal_parent_no, is_source)
WHERE b.device_nos IS NOT NULL;

CREATE VIEW oms_topology.branch_before AS
SELECT b.topology_version, b.before_no, u.*
FROM oms_topology.topology_before b
CROSS JOIN LATERAL unnest(b.branch_nos, b.from_nos, b.to_nos, b.branch_kinds, b.branch_codes, b.are_switches,
                          b.were_normally_open, b.were_open)
    AS u (branch_no, from_no, to_no, kind, code, is_switch, normally_open, is_open)
WHERE b.branch_nos IS NOT NULL;

CREATE VIEW oms_topology.meter_before AS
SELECT b.topology_version, b.before_no, u.*
FROM oms_topology.topology_before b
CROSS JOIN LATERAL unnest(b.meter_nos, b.meter_numbers, b.meter_device_nos) AS u (meter_no, meter_number, device_no)
WHERE b.meter_nos IS NOT NULL;

CREATE VIEW oms_topology.alternate_before AS
SELECT b.topology_version, b.before_no, u.*
FROM oms_topology.topology_before b
CROSS JOIN LATERAL unnest(b.alternate_meter_nos, b.alternate_device_nos, b.priorities) AS u (meter_no, device_no, priority)
WHERE b.alternate_meter_nos IS NOT NULL;

-- Each writes what stood before its statement, or before its row's change. TRUNCATE is asked before it is done.
CREATE FUNCTION oms_topology.remember_devices() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO oms_topology.topology_before (device_nos)
        SELECT array_agg(device_no) FROM new_rows HAVING count(*) > 0;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO oms_topology.topology_before
            (device_nos, device_kinds, device_codes, parent_nos, normal_parent_nos, are_sources)
        VALUES (ARRAY[OLD.device_no], ARRAY[OLD.kind], ARRAY[OLD.code], ARRAY[OLD.parent_no],
                ARRAY[OLD.normal_parent_no], ARRAY[OLD.is_source]);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO oms_topology.topology_before
            (device_nos, device_kinds, device_codes, parent_nos, normal_parent_nos, are_sources)
        SELECT array_agg(device_no), array_agg(kind), array_agg(code), array_agg(parent_no),
               array_agg(normal_parent_no), array_agg(is_source)
        FROM old_rows HAVING count(*) > 0;
    ELSE
        INSERT INTO oms_topology.topology_before
            (device_nos, device_kinds, device_codes, parent_nos, normal_parent_nos, are_sources)
        SELECT array_agg(device_no), array_agg(kind), array_agg(code), array_agg(parent_no),
               array_agg(normal_parent_no), array_agg(is_source)
        FROM oms_topology.device HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.remember_branches() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO oms_topology.topology_before (branch_nos)
        SELECT array_agg(branch_no) FROM new_rows HAVING count(*) > 0;
    ELSIF TG_LEVEL = 'ROW' THEN
        INSERT INTO oms_topology.topology_before
            (branch_nos, from_nos, to_nos, branch_kinds, branch_codes, are_switches, were_normally_open, were_open)
        VALUES (ARRAY[OLD.branch_no], ARRAY[OLD.from_no], ARRAY[OLD.to_no], ARRAY[OLD.kind], ARRAY[OLD.code],
                ARRAY[OLD.is_switch], ARRAY[OLD.normally_open], ARRAY[OLD.is_open]);
    ELSE
        INSERT INTO oms_topology.topology_before
            (branch_nos, from_nos, to_nos, branch_kinds, branch_codes, are_switches, were_normally_open, were_open)
        SELECT array_agg(branch_no), array_agg(from_no), array_agg(to_no), array_agg(kind), array_agg(code),
               array_agg(is_switch), array_agg(normally_open), array_agg(is_open)
        FROM oms_topology.branch HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.remember_alternates() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO oms_topology.topology_before (alternate_meter_nos, alternate_device_nos)
        SELECT array_agg(meter_no), array_agg(device_no) FROM new_rows HAVING count(*) > 0;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO oms_topology.topology_before (alternate_meter_nos, alternate_device_nos, priorities)
        VALUES (ARRAY[OLD.meter_no], ARRAY[OLD.device_no], ARRAY[OLD.priority]);
        IF (OLD.meter_no, OLD.device_no) <> (NEW.meter_no, NEW.device_no) THEN
            INSERT INTO oms_topology.topology_before (alternate_meter_nos, alternate_device_nos)
            VALUES (ARRAY[NEW.meter_no], ARRAY[NEW.device_no]);
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO oms_topology.topology_before (alternate_meter_nos, alternate_device_nos, priorities)
        SELECT array_agg(meter_no), array_agg(device_no), array_agg(priority) FROM old_rows HAVING count(*) > 0;
    ELSE
        INSERT INTO oms_topology.topology_before (alternate_meter_nos, alternate_device_nos, priorities)
        SELECT array_agg(meter_no), array_agg(device_no), array_agg(priority)
        FROM oms_topology.alternate_supply HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION oms_topology.remember_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        INSERT INTO oms_topology.topology_before (meter_nos, meter_numbers, meter_device_nos)
        VALUES (ARRAY[OLD.meter_no], ARRAY[OLD.meter_number], ARRAY[OLD.listed_device_no]);
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO oms_topology.topology_before (meter_nos, meter_numbers, meter_device_nos)
        SELECT array_agg(meter_no), array_agg(meter_number), array_agg(listed_device_no)
        FROM old_rows WHERE listed_device_no IS NOT NULL HAVING count(*) > 0;
    ELSE
        INSERT INTO oms_topology.topology_before (meter_nos, meter_numbers, meter_device_nos)
        SELECT array_agg(meter_no), array_agg(meter_number), array_agg(listed_device_no)
        FROM public.oms_meters WHERE listed_device_no IS NOT NULL HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;

-- Rows where foreign keys reach one at a time, statements where the library itself changes many.
CREATE TRIGGER remember_insert AFTER INSERT ON oms_topology.device
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_devices();
CREATE TRIGGER remember_update AFTER UPDATE ON oms_topology.device
    FOR EACH ROW
    WHEN ((OLD.device_no, OLD.kind, OLD.code, OLD.parent_no, OLD.normal_parent_no, OLD.is_source) IS DISTINCT FROM
          (NEW.device_no, NEW.kind, NEW.code, NEW.parent_no, NEW.normal_parent_no, NEW.is_source))
    EXECUTE FUNCTION oms_topology.remember_devices();
CREATE TRIGGER remember_delete AFTER DELETE ON oms_topology.device
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_devices();
CREATE TRIGGER remember_truncate BEFORE TRUNCATE ON oms_topology.device
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_devices();

CREATE TRIGGER remember_insert AFTER INSERT ON oms_topology.branch
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_branches();
CREATE TRIGGER remember_update AFTER UPDATE ON oms_topology.branch
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION oms_topology.remember_branches();
CREATE TRIGGER remember_delete AFTER DELETE ON oms_topology.branch
    FOR EACH ROW EXECUTE FUNCTION oms_topology.remember_branches();
CREATE TRIGGER remember_truncate BEFORE TRUNCATE ON oms_topology.branch
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_branches();

CREATE TRIGGER remember_insert AFTER INSERT ON oms_topology.alternate_supply
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_alternates();
CREATE TRIGGER remember_update AFTER UPDATE OF meter_no, device_no, priority ON oms_topology.alternate_supply
    FOR EACH ROW WHEN ((OLD.meter_no, OLD.device_no, OLD.priority) IS DISTINCT FROM (NEW.meter_no, NEW.device_no, NEW.priority))
    EXECUTE FUNCTION oms_topology.remember_alternates();
CREATE TRIGGER remember_delete AFTER DELETE ON oms_topology.alternate_supply
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_alternates();
CREATE TRIGGER remember_truncate BEFORE TRUNCATE ON oms_topology.alternate_supply
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_alternates();

CREATE TRIGGER oms_topology_remember_number AFTER UPDATE OF meter_number ON public.oms_meters
    FOR EACH ROW WHEN (OLD.meter_number IS DISTINCT FROM NEW.meter_number AND OLD.listed_device_no IS NOT NULL)
    EXECUTE FUNCTION oms_topology.remember_meters();
CREATE TRIGGER oms_topology_remember_delete AFTER DELETE ON public.oms_meters
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_meters();
CREATE TRIGGER oms_topology_remember_truncate BEFORE TRUNCATE ON public.oms_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.remember_meters();

-- The segments that entries of the log concern: of the devices in them and what fed these, and at the ends of branches.
CREATE FUNCTION oms_topology.segments_of_changes(p_before_nos bigint[]) RETURNS integer[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    SELECT COALESCE(array_agg(DISTINCT d.segment_no) FILTER (WHERE d.segment_no IS NOT NULL), '{}')
    FROM (SELECT device_no FROM oms_topology.device_before WHERE before_no = ANY (p_before_nos)
          UNION SELECT parent_no FROM oms_topology.device_before WHERE before_no = ANY (p_before_nos)
          UNION SELECT device_no FROM oms_topology.alternate_before WHERE before_no = ANY (p_before_nos)
          UNION SELECT u.no FROM oms_topology.branch_before b CROSS JOIN LATERAL unnest(ARRAY[b.from_no, b.to_no]) AS u (no)
          WHERE b.before_no = ANY (p_before_nos)
          UNION SELECT u.no FROM oms_topology.branch_before b
          JOIN oms_topology.branch n ON n.branch_no = b.branch_no
          CROSS JOIN LATERAL unnest(ARRAY[n.from_no, n.to_no]) AS u (no)
          WHERE b.before_no = ANY (p_before_nos)) c
    JOIN oms_topology.device d ON d.device_no = c.device_no
$$;

-- Gives entries of the log their version, and makes one of many: of each thing, the first says what stood before.
CREATE FUNCTION oms_topology.seal_changes(p_before_nos bigint[], p_version bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(p_before_nos) <= 1 THEN
        UPDATE oms_topology.topology_before SET topology_version = p_version WHERE before_no = ANY (p_before_nos);
        RETURN;
    END IF;
    INSERT INTO oms_topology.topology_before
        (topology_version, device_nos, device_kinds, device_codes, parent_nos, normal_parent_nos, are_sources,
         branch_nos, from_nos, to_nos, branch_kinds, branch_codes, are_switches, were_normally_open, were_open,
         meter_nos, meter_numbers, meter_device_nos, alternate_meter_nos, alternate_device_nos, priorities)
    SELECT p_version, d.*, b.*, m.*, a.*
    FROM (SELECT array_agg(x.device_no), array_agg(x.kind), array_agg(x.code), array_agg(x.parent_no),
                 array_agg(x.normal_parent_no), array_agg(x.is_source)
          FROM (SELECT DISTINCT ON (device_no) * FROM oms_topology.device_before
                WHERE before_no = ANY (p_before_nos) ORDER BY device_no, before_no) x) d
    CROSS JOIN
         (SELECT array_agg(x.branch_no), array_agg(x.from_no), array_agg(x.to_no), array_agg(x.kind),
                 array_agg(x.code), array_agg(x.is_switch), array_agg(x.normally_open), array_agg(x.is_open)
          FROM (SELECT DISTINCT ON (branch_no) * FROM oms_topology.branch_before
                WHERE before_no = ANY (p_before_nos) ORDER BY branch_no, before_no) x) b
    CROSS JOIN
         (SELECT array_agg(x.meter_no), array_agg(x.meter_number), array_agg(x.device_no)
          FROM (SELECT DISTINCT ON (meter_no) * FROM oms_topology.meter_before
                WHERE before_no = ANY (p_before_nos) ORDER BY meter_no, before_no) x) m
    CROSS JOIN
         (SELECT array_agg(x.meter_no), array_agg(x.device_no), array_agg(x.priority)
          FROM (SELECT DISTINCT ON (meter_no, device_no) * FROM oms_topology.alternate_before
                WHERE before_no = ANY (p_before_nos) ORDER BY meter_no, device_no, before_no) x) a;
    DELETE FROM oms_topology.topology_before WHERE before_no = ANY (p_before_nos);
END $$;

-- The version that stood at an instant: the newest settled by then; NULL before the first that is remembered.
CREATE FUNCTION oms_topology.topology_version_at(p_instant timestamptz) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT topology_version FROM oms_topology.topology_change
    WHERE changed_at <= p_instant ORDER BY changed_at DESC, topology_version DESC LIMIT 1
$$;

-- The rows of device, branch, oms_meters and alternate_supply as they stood at a version; with the newest version,
-- what is settled of the tables. Names and coordinates are today's, of the device that now has the code.
-- Nobody can estimate how much of the log there is: so whatever is joined is hashed, and nothing is compiled for it.
CREATE FUNCTION oms_topology.devices_as_of(p_version bigint)
RETURNS TABLE (device_no integer, kind text, code text, name text, parent_no integer, normal_parent_no integer,
               is_source boolean, longitude double precision, latitude double precision)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
    WITH former AS MATERIALIZED (
        SELECT DISTINCT ON (b.device_no) b.*
        FROM oms_topology.device_before b WHERE b.topology_version > p_version OR b.topology_version IS NULL
        ORDER BY b.device_no, b.topology_version NULLS LAST, b.before_no
    )
    SELECT d.device_no, d.kind, d.code, d.name, d.parent_no, d.normal_parent_no, d.is_source, d.longitude, d.latitude
    FROM oms_topology.device d WHERE NOT EXISTS (SELECT FROM former f WHERE f.device_no = d.device_no)
    UNION ALL
    SELECT f.device_no, f.kind, f.code, COALESCE(d.name, n.name), f.parent_no, f.normal_parent_no, f.is_source,
           COALESCE(d.longitude, n.longitude), COALESCE(d.latitude, n.latitude)
    FROM former f
    LEFT JOIN oms_topology.device d ON d.device_no = f.device_no
    LEFT JOIN oms_topology.device n ON n.kind = f.kind AND n.code = f.code
    WHERE f.kind IS NOT NULL
$$;

CREATE FUNCTION oms_topology.branches_as_of(p_version bigint)
RETURNS TABLE (branch_no integer, from_no integer, to_no integer, kind text, code text,
               is_switch boolean, normally_open boolean, is_open boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
    WITH former AS MATERIALIZED (
        SELECT DISTINCT ON (b.branch_no) b.*
        FROM oms_topology.branch_before b WHERE b.topology_version > p_version OR b.topology_version IS NULL
        ORDER BY b.branch_no, b.topology_version NULLS LAST, b.before_no
    )
    SELECT b.branch_no, b.from_no, b.to_no, b.kind, b.code, b.is_switch, b.normally_open, b.is_open
    FROM oms_topology.branch b WHERE NOT EXISTS (SELECT FROM former f WHERE f.branch_no = b.branch_no)
    UNION ALL
    SELECT f.branch_no, f.from_no, f.to_no, f.kind, f.code, f.is_switch, f.normally_open, f.is_open
    FROM former f WHERE f.from_no IS NOT NULL
$$;

CREATE FUNCTION oms_topology.alternates_as_of(p_version bigint)
RETURNS TABLE (meter_no integer, device_no integer, priority integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
    WITH former AS MATERIALIZED (
        SELECT DISTINCT ON (b.meter_no, b.device_no) b.*
        FROM oms_topology.alternate_before b WHERE b.topology_version > p_version OR b.topology_version IS NULL
        ORDER BY b.meter_no, b.device_no, b.topology_version NULLS LAST, b.before_no
    )
    SELECT a.meter_no, a.device_no, a.priority
    FROM oms_topology.alternate_supply a
    WHERE NOT EXISTS (SELECT FROM former f WHERE f.meter_no = a.meter_no AND f.device_no = a.device_no)
    UNION ALL
    SELECT f.meter_no, f.device_no, f.priority FROM former f WHERE f.priority IS NOT NULL
$$;

-- The meters alone that stood otherwise; device_no is NULL for those that were not in the network.
CREATE FUNCTION oms_topology.former_meters(p_version bigint)
RETURNS TABLE (meter_no integer, meter_number text, device_no integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
    SELECT DISTINCT ON (b.meter_no) b.meter_no, b.meter_number, b.device_no
    FROM oms_topology.meter_before b WHERE b.topology_version > p_version OR b.topology_version IS NULL
    ORDER BY b.meter_no, b.topology_version NULLS LAST, b.before_no
$$;

CREATE FUNCTION oms_topology.meters_as_of(p_version bigint)
RETURNS TABLE (meter_no integer, meter_number text, device_no integer)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET jit = off AS $$
    WITH former AS MATERIALIZED (SELECT * FROM oms_topology.former_meters(p_version))
    SELECT m.meter_no, m.meter_number, NULLIF(m.listed_device_no, -1)
    FROM public.oms_meters m
    WHERE m.listed_device_no IS NOT NULL AND NOT EXISTS (SELECT FROM former f WHERE f.meter_no = m.meter_no)
    UNION ALL
    SELECT f.meter_no, f.meter_number, NULLIF(f.device_no, -1) FROM former f WHERE f.device_no IS NOT NULL
$$;

-- For whoever keeps the database: forgets what stood before an instant, and returns how many versions that were. The
-- network of that instant stays the oldest that can be asked for; the newest version and the tables are never touched.
CREATE FUNCTION oms_topology.forget_topology_before(p_instant timestamptz) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept      constant bigint := oms_topology.topology_version_at(p_instant);
    forgotten bigint;
BEGIN
    DELETE FROM oms_topology.topology_before WHERE topology_version <= kept;
    DELETE FROM oms_topology.topology_change WHERE topology_version < kept;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
