-- The work of the inference worker: what it has to look at again, and how its conclusions become rows.
--
-- Whoever records what was said leaves a row in inference_work, in the same transaction. A worker folds these into
-- inference_due, one row a supply tree (segment), takes one tree, reads all that bears on it, and makes its outages
-- equal to what follows. Rows of work go in the transaction that writes the conclusions: exactly once, whoever dies.

CREATE TABLE oms_topology.inference_work (
    work_no    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    signal_nos bigint[] NOT NULL DEFAULT '{}',
    meter_nos  integer[] NOT NULL DEFAULT '{}',
    first_at   timestamptz NOT NULL,
    queued_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE oms_topology.inference_work IS
    'What was said and not yet weighed: one row a statement that recorded it. Grows by about 100 bytes a message while no worker runs.';
COMMENT ON COLUMN oms_topology.inference_work.signal_nos IS 'Reports of devices, and customers'' calls.';
COMMENT ON COLUMN oms_topology.inference_work.meter_nos IS 'Meters that said something themselves.';

CREATE TABLE oms_topology.inference_due (
    due_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    segment_no integer NOT NULL,
    first_at   timestamptz NOT NULL,
    due_at     timestamptz NOT NULL,
    queued_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX inference_due_idx ON oms_topology.inference_due (due_at, due_no);
CREATE INDEX inference_due_segment_idx ON oms_topology.inference_due (segment_no);
COMMENT ON TABLE oms_topology.inference_due IS
    'Which supply tree is to be judged anew, and when: at once, or when reports that are still out should have come.';
COMMENT ON COLUMN oms_topology.inference_due.first_at IS 'The earliest time of what is new there.';

CREATE TABLE oms_topology.call_report (
    signal_no   bigint PRIMARY KEY,
    meter_no    integer NOT NULL,
    occurred_at timestamptz NOT NULL
);
CREATE INDEX call_report_idx ON oms_topology.call_report (occurred_at);
COMMENT ON TABLE oms_topology.call_report IS 'Customers'' calls by the meter that they are about, as the worker found it.';

CREATE TABLE oms_topology.inference_setting (
    is_only_row boolean PRIMARY KEY DEFAULT true,
    rates       jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT inference_setting_only_row_check CHECK (is_only_row),
    CONSTRAINT inference_setting_rates_check CHECK (jsonb_typeof(rates) = 'object')
);
INSERT INTO oms_topology.inference_setting DEFAULT VALUES;
COMMENT ON TABLE oms_topology.inference_setting IS
    'What reports weigh, in the form of EvidenceRates.to_mapping(); what is left out keeps its default. One row.';

CREATE TABLE oms_topology.outage_inference (
    outage_event_id   uuid PRIMARY KEY,
    posterior         double precision NOT NULL,
    dead_posterior    double precision NOT NULL,
    alternatives      jsonb NOT NULL DEFAULT '[]',
    reasons           jsonb NOT NULL DEFAULT '[]',
    still_dark_meters text[] NOT NULL DEFAULT '{}',
    restoration_steps jsonb NOT NULL DEFAULT '[]',
    surfaced_from     uuid,
    CONSTRAINT outage_inference_outage_event_id_fkey FOREIGN KEY (outage_event_id)
        REFERENCES public.oms_outage_events (id) ON DELETE CASCADE
);
COMMENT ON TABLE oms_topology.outage_inference IS
    'What inference says of an outage beside its row: full probabilities, alternatives, reasons, who is still dark.';
COMMENT ON COLUMN oms_topology.outage_inference.surfaced_from IS 'The outage below which it lay hidden until that one ended.';

-- Bells: whoever waits for work holds the lock, shared.
CREATE FUNCTION oms_topology.ring_inference_bell() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF pg_try_advisory_lock(hashtext('oms_topology.inference_bell')) THEN
        PERFORM pg_advisory_unlock(hashtext('oms_topology.inference_bell'));
    ELSE
        PERFORM pg_notify('oms_topology_inference', '');
    END IF;
END $$;

CREATE FUNCTION oms_topology.queue_signals() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oms_topology.inference_work (signal_nos, first_at)
    SELECT array_agg(s.signal_no), min(s.occurred_at) FROM new_signal s
    WHERE s.source IN ('scada', 'call_center') HAVING count(*) > 0;
    IF FOUND THEN
        PERFORM oms_topology.ring_inference_bell();
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_signals AFTER INSERT ON oms_topology.signal
    REFERENCING NEW TABLE AS new_signal FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.queue_signals();

-- Reports about meters. What is taken over from before there was an inbox is history: nobody is to be called out for it.
CREATE FUNCTION oms_topology.queue_meter_reports() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO oms_topology.inference_work (meter_nos, first_at)
    SELECT array_agg(DISTINCT r.meter_no), min(r.occurred_at) FROM new_report r
    WHERE r.signal_no IS NOT NULL AND COALESCE(current_setting('oms_topology.is_history', true), '') <> 'on'
    HAVING count(*) > 0;
    IF FOUND THEN
        PERFORM oms_topology.ring_inference_bell();
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_meter_reports AFTER INSERT ON oms_topology.meter_report
    REFERENCING NEW TABLE AS new_report FOR EACH STATEMENT EXECUTE FUNCTION oms_topology.queue_meter_reports();

-- Trees that change while an outage is open in one of them are judged anew on what they are now: what was blamed may
-- feed other meters. Of many, as when a network is stored, those with open outages alone.
CREATE FUNCTION oms_topology.queue_changed_trees() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH open_outage AS (
        SELECT COALESCE(d.segment_no, m.segment_no) AS segment_no, min(o.started_at) AS started_at
        FROM oms_topology.outage_device o
        LEFT JOIN oms_topology.device d ON d.device_no = o.device_no
        LEFT JOIN public.oms_meters m ON m.meter_no = o.meter_no
        WHERE COALESCE(o.ended_at, 'infinity') = 'infinity' AND COALESCE(d.segment_no, m.segment_no) = ANY (NEW.segment_nos)
        GROUP BY 1
    )
    INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at)
    SELECT s.segment_no, (SELECT min(started_at) FROM open_outage), '-infinity'
    FROM unnest(NEW.segment_nos) AS s (segment_no)
    WHERE EXISTS (SELECT FROM open_outage o WHERE o.segment_no = s.segment_no OR cardinality(NEW.segment_nos) <= 16);
    IF FOUND THEN
        PERFORM oms_topology.ring_inference_bell();
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER queue_changed_trees AFTER INSERT ON oms_topology.topology_change
    FOR EACH ROW WHEN (NEW.segment_nos <> '{}') EXECUTE FUNCTION oms_topology.queue_changed_trees();

-- Folds what is queued into the trees that it concerns, and takes one tree that is due and that nobody else has in
-- hand: it is this transaction's until its end. work_count tells how many rows were folded, is_busy whether trees are
-- due that others have in hand, is_more whether anything else waits.
CREATE FUNCTION oms_topology.take_inference_work(
    p_most integer, p_at timestamptz,
    OUT work_count integer, OUT is_busy boolean, OUT segment_no integer, OUT first_at timestamptz, OUT is_more boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    due integer;
BEGIN
    WITH claimed AS (
        DELETE FROM oms_topology.inference_work w
        WHERE w.work_no = ANY (ARRAY(SELECT q.work_no FROM oms_topology.inference_work q
                                     ORDER BY q.work_no LIMIT p_most FOR UPDATE SKIP LOCKED))
        RETURNING w.signal_nos, w.meter_nos, w.first_at
    ), said AS (
        SELECT s.signal_no, s.source, s.device_no, s.occurred_at,
               CASE WHEN s.source = 'call_center' THEN oms_topology.find_meter(s.payload ->> 'meterNumber') END AS meter_no
        FROM claimed c CROSS JOIN LATERAL unnest(c.signal_nos) AS n (signal_no)
        JOIN oms_topology.signal s ON s.signal_no = n.signal_no
    ), called AS (
        INSERT INTO oms_topology.call_report (signal_no, meter_no, occurred_at)
        SELECT s.signal_no, s.meter_no, s.occurred_at FROM said s WHERE s.meter_no IS NOT NULL
        ON CONFLICT DO NOTHING
    ), touched AS (
        SELECT m.segment_no, c.first_at
        FROM claimed c CROSS JOIN LATERAL unnest(c.meter_nos) AS n (meter_no)
        JOIN public.oms_meters m ON m.meter_no = n.meter_no
        UNION ALL
        SELECT m.segment_no, s.occurred_at FROM said s JOIN public.oms_meters m ON m.meter_no = s.meter_no
        UNION ALL
        SELECT d.segment_no, s.occurred_at FROM said s JOIN oms_topology.device d ON d.device_no = s.device_no
    ), folded AS (
        INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at)
        SELECT t.segment_no, min(t.first_at), '-infinity' FROM touched t
        WHERE t.segment_no IS NOT NULL GROUP BY t.segment_no ORDER BY t.segment_no
    )
    SELECT count(*) INTO work_count FROM claimed;

    is_busy := false;
    FOR due IN SELECT q.segment_no FROM oms_topology.inference_due q
               WHERE q.due_at <= p_at GROUP BY q.segment_no ORDER BY min(q.due_at), min(q.due_no) LOOP
        IF pg_try_advisory_xact_lock(hashtext('oms_topology.inference'), due) THEN
            WITH taken AS (
                DELETE FROM oms_topology.inference_due d
                WHERE d.due_no = ANY (ARRAY(SELECT q.due_no FROM oms_topology.inference_due q
                                            WHERE q.segment_no = due AND q.due_at <= p_at FOR UPDATE SKIP LOCKED))
                RETURNING d.first_at
            )
            SELECT due, min(t.first_at) INTO segment_no, first_at FROM taken t;
            EXIT WHEN first_at IS NOT NULL;
            segment_no := NULL;
        END IF;
        is_busy := true;
    END LOOP;
    is_more := work_count >= p_most OR EXISTS (
        SELECT FROM oms_topology.inference_due q WHERE q.due_at <= p_at AND q.segment_no <> COALESCE(take_inference_work.segment_no, -1));
END $$;

-- Sets when a tree is to be judged again, in place of what was set before; NULL for not before something new is said.
CREATE FUNCTION oms_topology.set_inference_due(p_segment_no integer, p_first_at timestamptz, p_due_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM oms_topology.inference_due d
    WHERE d.due_no = ANY (ARRAY(SELECT q.due_no FROM oms_topology.inference_due q
                                WHERE q.segment_no = p_segment_no AND q.due_at > '-infinity' FOR UPDATE SKIP LOCKED));
    INSERT INTO oms_topology.inference_due (segment_no, first_at, due_at)
    SELECT p_segment_no, p_first_at, p_due_at WHERE p_due_at IS NOT NULL
$$;

-- The outages in trees that had not ended before an instant.
CREATE FUNCTION oms_topology.segment_outages(p_segment_nos integer[], p_since timestamptz) RETURNS SETOF oms_topology.outage_device
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
    SELECT o.* FROM oms_topology.outage_device o
    LEFT JOIN oms_topology.device d ON d.device_no = o.device_no
    LEFT JOIN public.oms_meters m ON m.meter_no = o.meter_no
    WHERE COALESCE(o.ended_at, 'infinity') >= p_since AND COALESCE(d.segment_no, m.segment_no) = ANY (p_segment_nos);
END $$;

-- The last instant before p_first_at at which the trees were quiet: no outage had been open for four hours, nor been
-- over but not yet verified for a day. What one meter alone keeps open does not hold the past open; its own reports
-- are read from where its loss began.
CREATE FUNCTION oms_topology.quiet_instant(p_segment_nos integer[], p_first_at timestamptz) RETURNS timestamptz
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    quiet_at timestamptz := p_first_at - interval '4 hours';
    earlier  timestamptz;
BEGIN
    LOOP
        SELECT min(o.started_at) - interval '4 hours' INTO earlier
        FROM oms_topology.segment_outages(p_segment_nos, quiet_at - interval '1 day') o
        JOIN public.oms_outage_events e ON e.id = o.outage_event_id
        WHERE o.started_at - interval '4 hours' < quiet_at
          AND (o.ended_at >= quiet_at OR e.status = 'restored' OR o.ended_at IS NULL AND o.device_no IS NOT NULL);
        EXIT WHEN earlier IS NULL;
        quiet_at := earlier;
    END LOOP;
    RETURN quiet_at;
END $$;

-- What is judged together with a tree, and since when: the trees with which it has exchanged devices or meters since it
-- was quiet, up to sixteen; and when each of their changes up to p_at was, with the version before it, oldest first.
-- What is older than the first version that is remembered is judged on the first network that is known.
CREATE FUNCTION oms_topology.joined_trees(
    p_segment_no integer, p_first_at timestamptz, p_version bigint, p_at timestamptz,
    OUT segment_nos integer[], OUT since timestamptz, OUT changed_ats timestamptz[], OUT former_versions bigint[]
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    joined     integer[] := ARRAY[p_segment_no];
    first_at   timestamptz := oms_topology.quiet_instant(joined, p_first_at);
    wider      integer[];
    first_kept bigint;
BEGIN
    LOOP
        SELECT array_agg(DISTINCT s.no ORDER BY s.no) INTO wider
        FROM (SELECT unnest(c.segment_nos) AS no FROM oms_topology.topology_change c
              WHERE c.changed_at > first_at AND c.changed_at <= p_at AND c.topology_version <= p_version
                AND c.segment_nos && joined AND cardinality(c.segment_nos) <= 16
                AND EXISTS (  -- something that was there already hangs elsewhere since: no network that is loaded
                    SELECT FROM oms_topology.topology_before b
                    WHERE b.topology_version = c.topology_version
                      AND (EXISTS (SELECT FROM unnest(b.device_kinds) u (was) WHERE u.was IS NOT NULL)
                           OR EXISTS (SELECT FROM unnest(b.branch_kinds) u (was) WHERE u.was IS NOT NULL)
                           OR EXISTS (SELECT FROM unnest(b.meter_numbers) u (was) WHERE u.was IS NOT NULL)))
              UNION SELECT unnest(joined)) s;
        EXIT WHEN wider = joined OR cardinality(wider) > 16;
        joined := wider;
        first_at := oms_topology.quiet_instant(joined, LEAST(p_first_at, first_at + interval '4 hours'));
    END LOOP;
    segment_nos := joined;
    since := first_at;
    SELECT min(c.topology_version) INTO first_kept FROM oms_topology.topology_change c;
    SELECT COALESCE(array_agg(c.changed_at ORDER BY c.topology_version), '{}'),
           COALESCE(array_agg(c.topology_version - 1 ORDER BY c.topology_version), '{}')
    INTO changed_ats, former_versions
    FROM oms_topology.topology_change c
    WHERE c.changed_at > first_at AND c.changed_at <= p_at AND c.topology_version <= p_version
      AND c.topology_version > first_kept AND c.segment_nos && joined;
END $$;

-- Takes in hand what is judged together with a tree; false where somebody else has any of it.
CREATE FUNCTION oms_topology.take_joined_trees(p_segment_nos integer[]) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tree integer;
BEGIN
    FOREACH tree IN ARRAY p_segment_nos LOOP
        IF NOT pg_try_advisory_xact_lock(hashtext('oms_topology.inference'), tree) THEN
            RETURN false;
        END IF;
    END LOOP;
    RETURN true;
END $$;

-- Since when the reports of a meter matter that are older than an instant: where the loss of power, or of its
-- communication, began that still held then; the instant itself where there was none.
CREATE FUNCTION oms_topology.episode_start(p_meter_no integer, p_since timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT LEAST(p_since,
        (SELECT min(r.occurred_at) FROM oms_topology.meter_report r
         WHERE r.meter_no = p_meter_no AND r.occurred_at < p_since AND r.power_status = 'off'
           AND NOT EXISTS (SELECT FROM oms_topology.meter_report n
                           WHERE n.meter_no = p_meter_no AND n.occurred_at >= r.occurred_at AND n.occurred_at < p_since
                             AND n.power_status = 'on')),
        (SELECT min(r.occurred_at) FROM oms_topology.meter_report r
         WHERE r.meter_no = p_meter_no AND r.occurred_at < p_since AND r.communication_status = 'offline'
           AND NOT EXISTS (SELECT FROM oms_topology.meter_report n
                           WHERE n.meter_no = p_meter_no AND n.occurred_at >= r.occurred_at AND n.occurred_at < p_since
                             AND n.communication_status = 'online')))
$$;

-- All that was said about trees since they were quiet: by meters, by devices of themselves, by customers, and what
-- people decided to be over. Signals of several meters are one row.
CREATE FUNCTION oms_topology.segment_evidence(p_segment_nos integer[], p_since timestamptz)
RETURNS TABLE (
    source text, source_event_id text, content_hash text, kind text, code text, meter_numbers text[],
    power_status text, communication_status text, occurred_at timestamptz, received_at timestamptz,
    time_is_sound boolean, record_id text
)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH spoken AS MATERIALIZED (
        SELECT m.meter_no, m.meter_number::text AS meter_number,
               CASE WHEN m.own_power_at < p_since AND m.own_power_status = 'on' AND m.last_communication < p_since
                         AND m.communication_status = 'online' THEN p_since
                    ELSE oms_topology.episode_start(m.meter_no, p_since) END AS since
        FROM public.oms_meters m
        WHERE m.segment_no = ANY (p_segment_nos)
          AND (m.own_power_at IS NOT NULL OR m.supply_lost_at IS NOT NULL OR m.last_communication IS NOT NULL
               OR m.power_signal_no IS NOT NULL)
    ), told AS (
        SELECT r.signal_no, r.source, r.source_event_id, r.power_status, r.communication_status, r.occurred_at,
               array_agg(s.meter_number ORDER BY s.meter_number) AS meter_numbers
        FROM spoken s
        JOIN oms_topology.meter_report r ON r.meter_no = s.meter_no AND r.occurred_at >= s.since
        GROUP BY r.signal_no, r.source, r.source_event_id, r.power_status, r.communication_status, r.occurred_at
    )
    SELECT t.source, COALESCE(g.source_event_id, t.source_event_id), COALESCE(g.content_hash, ''), 'meter', t.meter_numbers[1],
           t.meter_numbers, t.power_status, t.communication_status, t.occurred_at, COALESCE(g.received_at, t.occurred_at),
           COALESCE(g.time_is_sound, true), g.record_id
    FROM told t LEFT JOIN oms_topology.signal g ON g.signal_no = t.signal_no
    UNION ALL
    SELECT g.source, g.source_event_id, g.content_hash, d.kind, d.code, '{}', g.power_status, NULL, r.at, g.received_at,
           g.time_is_sound, g.record_id
    FROM oms_topology.device_reports(
        ARRAY(SELECT s.device_no FROM oms_topology.device_state s WHERE s.segment_no = ANY (p_segment_nos)), p_since) r
    JOIN oms_topology.device d ON d.device_no = r.device_no
    JOIN oms_topology.signal g ON g.signal_no = r.signal_no
    UNION ALL
    SELECT g.source, g.source_event_id, g.content_hash, 'meter', m.meter_number::text, ARRAY[m.meter_number]::text[], 'off', NULL,
           c.occurred_at, g.received_at, g.time_is_sound, g.record_id
    FROM oms_topology.call_report c
    JOIN public.oms_meters m ON m.meter_no = c.meter_no AND m.segment_no = ANY (p_segment_nos)
    JOIN oms_topology.signal g ON g.signal_no = c.signal_no
    WHERE c.occurred_at >= p_since
    UNION ALL
    SELECT 'system', 'decision ' || x.decision_no, '', COALESCE(d.kind, 'meter'), COALESCE(d.code, m.meter_number), '{}',
           'on', NULL, x.at, x.decided_at, true, NULL
    FROM oms_topology.segment_outages(p_segment_nos, p_since) o
    JOIN oms_topology.outage_decision x ON x.outage_event_id = o.outage_event_id AND x.action IN ('restore', 'cancel')
        AND x.device_no IS NOT DISTINCT FROM o.device_no
    LEFT JOIN oms_topology.device d ON d.device_no = o.device_no
    LEFT JOIN public.oms_meters m ON m.meter_no = o.meter_no
    WHERE x.at >= p_since;
END $$;
