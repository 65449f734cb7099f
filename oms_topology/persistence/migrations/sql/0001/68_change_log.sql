-- The change log: which meters have another status, and which version the topology has, for whoever keeps an image
-- of the tables. One row a statement, in the transaction of the change, so whoever sees the one sees the other.
--
-- It is read by snapshot: what the present snapshot sees and the reader's last one did not. Numbers are handed out
-- in another order than transactions commit in, and a reader that remembers the greatest number it saw passes over
-- those that were still open; a snapshot remembers just these. docs/feed.md tells how to read it.

CREATE TABLE oms_topology.change (
    change_no        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    logged_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind             text NOT NULL,
    meter_nos        integer[],
    topology_version bigint,
    CONSTRAINT change_kind_check CHECK (kind IN ('status', 'topology'))
);
CREATE INDEX change_transaction_idx ON oms_topology.change (transaction_id);
CREATE INDEX change_logged_idx ON oms_topology.change (logged_at);
-- Squeezing numbers that hardly shrink would cost more than to write them.
ALTER TABLE oms_topology.change ALTER COLUMN meter_nos SET STORAGE EXTERNAL;
COMMENT ON TABLE oms_topology.change IS
    'What changed, one row a statement; read by snapshot (changes_since), never by number or time.';
COMMENT ON COLUMN oms_topology.change.meter_nos IS
    'Of a status change: oms_meters.meter_no of the meters that may have another status, or be new, or gone; NULL stands for all.';

CREATE TABLE oms_topology.change_horizon (
    is_only_row       boolean PRIMARY KEY DEFAULT true,
    forgotten_through xid8 NOT NULL,
    CONSTRAINT change_horizon_check CHECK (is_only_row)
);
INSERT INTO oms_topology.change_horizon (forgotten_through) VALUES ('0');
COMMENT ON TABLE oms_topology.change_horizon IS
    'The greatest transaction of which forget_changes_before() took rows out of the log.';

-- The bell that spares readers a wait for their next look. NOTIFY makes commits queue up, so it is rung only where
-- somebody waits: waiting readers hold this lock, shared, and let go of it when they wake. In one expression, in
-- which no cancellation can come between taking the lock and giving it back.
CREATE FUNCTION oms_topology.ring_change_bell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM CASE WHEN pg_try_advisory_lock(hashtext('oms_topology.change'))
                 THEN pg_advisory_unlock(hashtext('oms_topology.change'))::text
                 ELSE pg_notify('oms_topology_change', '')::text END;
    RETURN NULL;
END $$;
CREATE TRIGGER ring_change_bell AFTER INSERT ON oms_topology.change
    FOR EACH ROW EXECUTE FUNCTION oms_topology.ring_change_bell();

-- For every writer of power_status or communication_status: the meters that it wrote, in its own transaction.
CREATE FUNCTION oms_topology.log_status_change(p_meter_nos integer[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO oms_topology.change (kind, meter_nos) SELECT 'status', p_meter_nos WHERE cardinality(p_meter_nos) > 0
$$;

-- Everything that is new to a reader whose last snapshot this was: NULL for a reader that has none. is_complete is
-- false where the log cannot tell any more, and the reader is to read the tables anew, all of them. is_settling
-- tells that transactions were open whose changes may come next.
CREATE FUNCTION oms_topology.changes_since(
    p_seen pg_snapshot, OUT seen_now pg_snapshot, OUT is_complete boolean, OUT is_settling boolean,
    OUT change_count bigint, OUT status_bytes bigint, OUT concerns_all_meters boolean, OUT topology_version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_current_snapshot(),
           -- What is ahead of the server is not of this server, but of the one whose dump it was restored from.
           COALESCE((h.forgotten_through < pg_snapshot_xmin(p_seen)
                     OR h.forgotten_through >= pg_snapshot_xmax(pg_current_snapshot()))
                    AND pg_snapshot_xmax(p_seen) <= pg_snapshot_xmax(pg_current_snapshot()), false),
           EXISTS (SELECT FROM pg_snapshot_xip(pg_current_snapshot())),
           n.change_count, n.status_bytes, n.concerns_all_meters, n.topology_version
    FROM oms_topology.change_horizon h,
         (SELECT count(*) AS change_count,
                 COALESCE(sum(pg_column_size(c.meter_nos)), 0) AS status_bytes,
                 COALESCE(bool_or(c.kind = 'status' AND c.meter_nos IS NULL), false) AS concerns_all_meters,
                 max(c.topology_version) AS topology_version
          FROM oms_topology.change c
          WHERE c.transaction_id >= pg_snapshot_xmin(p_seen)
            AND NOT pg_visible_in_snapshot(c.transaction_id, p_seen)
            AND pg_visible_in_snapshot(c.transaction_id, pg_current_snapshot())) n
$$;

-- The meters of these changes, some of them several times: numbers as array_send() writes them, without its head.
CREATE FUNCTION oms_topology.meters_changed_since(p_seen pg_snapshot) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(substr(array_send(c.meter_nos), 21), '')
    FROM oms_topology.change c
    WHERE c.transaction_id >= pg_snapshot_xmin(p_seen)
      AND NOT pg_visible_in_snapshot(c.transaction_id, p_seen)
      AND pg_visible_in_snapshot(c.transaction_id, pg_current_snapshot())
$$;

-- For whoever keeps the database: forgets what was logged before an instant, and returns how many rows that were.
-- What a transaction that is still open could stand beside stays, so that nobody who reads the tables anew is told
-- to do so again.
CREATE FUNCTION oms_topology.forget_changes_before(p_instant timestamptz) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH forgotten AS (
        DELETE FROM oms_topology.change
        WHERE logged_at < p_instant AND transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        RETURNING transaction_id
    ), through AS (
        UPDATE oms_topology.change_horizon h SET forgotten_through = f.transaction_id
        FROM (SELECT transaction_id FROM forgotten ORDER BY transaction_id DESC LIMIT 1) f
        WHERE h.forgotten_through < f.transaction_id
           OR h.forgotten_through >= pg_snapshot_xmax(pg_current_snapshot())
    )
    SELECT count(*) FROM forgotten
$$;

CREATE FUNCTION oms_topology.log_topology_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oms_topology.change (kind, topology_version) VALUES ('topology', NEW.topology_version);
    RETURN NULL;
END $$;
CREATE TRIGGER log_change AFTER INSERT ON oms_topology.topology_change
    FOR EACH ROW EXECUTE FUNCTION oms_topology.log_topology_version();

-- Meters that come and go. Who writes power_status says so in power_signal_no or is caught by the trigger of 74, which
-- logs it; who writes communication_status is caught here, unless it is a function that logs what it writes.
CREATE FUNCTION oms_topology.log_meters() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO oms_topology.change (kind) VALUES ('status');
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO oms_topology.change (kind, meter_nos) VALUES ('status', ARRAY[OLD.meter_no, NEW.meter_no]);
    ELSE
        INSERT INTO oms_topology.change (kind, meter_nos)
        SELECT 'status', array_agg(meter_no) FROM changed_rows HAVING count(*) > 0;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER oms_topology_log_insert AFTER INSERT ON public.oms_meters
    REFERENCING NEW TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.log_meters();
CREATE TRIGGER oms_topology_log_delete AFTER DELETE ON public.oms_meters
    REFERENCING OLD TABLE AS changed_rows FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.log_meters();
CREATE TRIGGER oms_topology_log_truncate AFTER TRUNCATE ON public.oms_meters
    FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.log_meters();
CREATE TRIGGER oms_topology_log_renumbered AFTER UPDATE OF meter_number, meter_no ON public.oms_meters
    FOR EACH ROW WHEN ((OLD.meter_number, OLD.meter_no) IS DISTINCT FROM (NEW.meter_number, NEW.meter_no))
    EXECUTE FUNCTION oms_topology.log_meters();
CREATE TRIGGER oms_topology_log_communication AFTER UPDATE OF communication_status ON public.oms_meters
    FOR EACH ROW
    WHEN (OLD.communication_status IS DISTINCT FROM NEW.communication_status
          AND current_setting('oms_topology.logs_status', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION oms_topology.log_meters();
