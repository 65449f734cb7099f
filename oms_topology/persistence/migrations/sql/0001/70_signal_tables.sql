-- What was said, kept for ever as it was said; what could not be used; and the audit's bulk storage.

CREATE TABLE oms_topology.source_setting (
    source      text PRIMARY KEY,
    time_zone   text NOT NULL DEFAULT 'UTC',
    reliability smallint NOT NULL,
    confidence  numeric(5,2) NOT NULL
);
COMMENT ON TABLE oms_topology.source_setting IS
    'Per provider: the zone of its naive times, its rank when two reports are of one instant, and the confidence its reports carry in the audit.';
INSERT INTO oms_topology.source_setting (source, reliability, confidence) VALUES
    ('scada', 5, 0.90), ('kaifa', 4, 0.90), ('onu', 3, 0.85), ('system', 2, 1.00), ('call_center', 1, 0.60);

CREATE TABLE oms_topology.signal (
    signal_no       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source          text NOT NULL,
    source_event_id text NOT NULL,
    content_hash    text NOT NULL,
    is_conflicting  boolean NOT NULL DEFAULT false,
    device_kind     text,
    device_code     text,
    device_no       integer,
    power_status    text NOT NULL,
    occurred_at     timestamptz NOT NULL,
    sent_at         timestamptz,
    received_at     timestamptz NOT NULL,
    time_is_sound   boolean NOT NULL DEFAULT true,
    record_id       text,
    findings        jsonb,
    payload         jsonb NOT NULL,
    result          jsonb,
    CONSTRAINT signal_key UNIQUE (source, source_event_id, content_hash),
    CONSTRAINT signal_source_check CHECK (source IN ('scada', 'onu', 'kaifa', 'call_center', 'system')),
    CONSTRAINT signal_power_status_check CHECK (power_status IN ('on', 'off', 'unknown'))
) WITH (fillfactor = 70);
CREATE INDEX signal_device_idx ON oms_topology.signal (device_no, occurred_at)
    WHERE device_no IS NOT NULL AND power_status IN ('on', 'off');
CREATE INDEX signal_record_idx ON oms_topology.signal (record_id) WHERE record_id IS NOT NULL;
COMMENT ON TABLE oms_topology.signal IS
    'The inbox: one row a message part, keyed by what the provider calls it. One key with other content is kept beside the first, flagged.';

CREATE TABLE oms_topology.meter_report (
    meter_no        integer NOT NULL,
    occurred_at     timestamptz NOT NULL,
    power_status    text,
    communication_status text,
    source          text NOT NULL,
    source_event_id text NOT NULL,
    signal_no       bigint,
    CONSTRAINT meter_report_power_status_check CHECK (power_status IN ('on', 'off')),
    CONSTRAINT meter_report_communication_status_check CHECK (communication_status IN ('online', 'offline'))
);
CREATE INDEX meter_report_meter_idx ON oms_topology.meter_report (meter_no, occurred_at);
COMMENT ON TABLE oms_topology.meter_report IS
    'What each meter itself said, and when; NULL where it said nothing of it. Source system is an UPDATE by an old service.';

CREATE TABLE oms_topology.device_state (
    device_no        integer PRIMARY KEY,
    segment_no       integer,
    position_no      integer,
    last_position_no integer,
    depth            integer,
    is_dead          boolean NOT NULL,
    reported_at      timestamptz NOT NULL,
    since            timestamptz NOT NULL,
    signal_no        bigint NOT NULL,
    CONSTRAINT device_state_device_no_fkey FOREIGN KEY (device_no)
        REFERENCES oms_topology.device (device_no) ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX device_state_segment_idx ON oms_topology.device_state (segment_no);
COMMENT ON TABLE oms_topology.device_state IS
    'The newest report of each device about itself: de-energised or not, and since when.';

CREATE FUNCTION oms_topology.place_device_states(p_segment_nos integer[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE oms_topology.device_state s
    SET segment_no = d.segment_no, position_no = d.position_no,
        last_position_no = d.last_position_no, depth = d.depth
    FROM oms_topology.device d WHERE d.device_no = s.device_no AND d.segment_no = ANY (p_segment_nos);
END $$;

CREATE TABLE oms_topology.dead_letter (
    dead_letter_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source         text NOT NULL,
    field          text NOT NULL,
    reason         text NOT NULL,
    payload        bytea NOT NULL,
    payload_hash   text NOT NULL,
    received_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    deliveries     integer NOT NULL DEFAULT 1,
    replayed_at    timestamptz,
    CONSTRAINT dead_letter_key UNIQUE (source, payload_hash, field)
);
COMMENT ON TABLE oms_topology.dead_letter IS
    'Messages that could not be used, byte for byte, each with the field and the reason; replayable.';

CREATE TABLE oms_topology.outage_device (
    outage_event_id uuid PRIMARY KEY,
    device_no       integer,
    meter_no        integer,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    origin          text NOT NULL DEFAULT 'device',
    CONSTRAINT outage_device_blamed_check CHECK (num_nonnulls(device_no, meter_no) = 1),
    CONSTRAINT outage_device_origin_check CHECK (origin IN ('device', 'inference')),
    CONSTRAINT outage_device_outage_event_id_fkey FOREIGN KEY (outage_event_id)
        REFERENCES public.oms_outage_events (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX outage_device_open_key ON oms_topology.outage_device (device_no) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX outage_device_open_meter_key ON oms_topology.outage_device (meter_no) WHERE ended_at IS NULL;
CREATE INDEX outage_device_idx ON oms_topology.outage_device (device_no, started_at);
CREATE INDEX outage_device_end_idx ON oms_topology.outage_device (COALESCE(ended_at, 'infinity'));
COMMENT ON TABLE oms_topology.outage_device IS
    'The one device, or single meter, each outage blames; it has one open outage at the most.';
COMMENT ON COLUMN oms_topology.outage_device.origin IS
    'device: it reported itself; inference: concluded from what others said, and not to be withdrawn for want of its own word.';

CREATE TABLE oms_topology.outage_revision (
    revision_no     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outage_event_id uuid NOT NULL,
    superseded_by   uuid,
    reason          text NOT NULL,
    outage          jsonb NOT NULL,
    sources         jsonb NOT NULL,
    timeline        jsonb NOT NULL,
    revised_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outage_revision_outage_idx ON oms_topology.outage_revision (outage_event_id);
CREATE INDEX outage_revision_superseded_idx ON oms_topology.outage_revision (superseded_by);
COMMENT ON TABLE oms_topology.outage_revision IS
    'Outages that later signals withdrew, whole, with the reason and the outage that stands in their place.';

-- The audit's bulk rows live in children of the contract's tables: a SELECT on the contract's table
-- shows both, its keys and foreign keys stay, and a thousand meters cost a thousand appends instead
-- of three thousand key checks. Writers of ours know their meters exist: they have just locked them.
-- The two below are the open parts, without an index, so that an event only appends to them;
-- seal_audit() puts them aside when they have grown, and index_sealed_audit() gives each its index in bulk.
CREATE TABLE oms_topology.meter_status_event () INHERITS (public.oms_meter_status_events);
CREATE TABLE oms_topology.scada_event_affected_meter () INHERITS (public.scada_event_affected_meters);
COMMENT ON TABLE oms_topology.meter_status_event IS 'The newest rows of oms_meter_status_events that our own writers appended.';
COMMENT ON TABLE oms_topology.scada_event_affected_meter IS 'The newest rows of scada_event_affected_meters that our own writers appended.';

CREATE TABLE oms_topology.audit_seal (
    seal_no    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name text NOT NULL UNIQUE,
    index_keys text NOT NULL,
    sealed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_indexed boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE oms_topology.audit_seal IS
    'The sealed parts of the audit, oldest first; each can be archived with ALTER TABLE ... NO INHERIT.';

-- Seals one open part if it holds at least so many bytes; returns the sealed table's name, or NULL.
CREATE FUNCTION oms_topology.seal_part(p_part text, p_parent text, p_index_keys text, p_min_bytes bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    sealed_name text;
BEGIN
    IF pg_relation_size(format('oms_topology.%I', p_part)::regclass) < p_min_bytes THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE oms_topology.%I IN ACCESS EXCLUSIVE MODE', p_part);
    IF pg_relation_size(format('oms_topology.%I', p_part)::regclass) < p_min_bytes THEN
        RETURN NULL;
    END IF;
    INSERT INTO oms_topology.audit_seal (table_name, index_keys)
    SELECT p_part || '_' || COALESCE(max(seal_no), 0) + 1, p_index_keys FROM oms_topology.audit_seal
    RETURNING table_name INTO sealed_name;
    EXECUTE format('ALTER TABLE oms_topology.%I RENAME TO %I', p_part, sealed_name);
    EXECUTE format('ALTER INDEX IF EXISTS oms_topology.%I RENAME TO %I', p_part || '_idx', sealed_name || '_idx');
    EXECUTE format('CREATE TABLE oms_topology.%I () INHERITS (public.%I)', p_part, p_parent);
    RETURN sealed_name;
END $$;

-- Seals the open parts of the audit that hold at least so many bytes; returns how many that were.
CREATE FUNCTION oms_topology.seal_audit(p_min_bytes bigint DEFAULT 33554432) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(oms_topology.seal_part(p.part, p.parent, p.index_keys, p_min_bytes))::integer
    FROM (VALUES ('meter_status_event', 'oms_meter_status_events', 'meter_id, event_timestamp DESC'),
                 ('scada_event_affected_meter', 'scada_event_affected_meters', 'scada_event_id')) AS p (part, parent, index_keys)
$$;

-- Gives the open part of the audit its index before it is sealed, where late reports have read it whole more than
-- so often: in a storm. Returns whether it was made now.
CREATE FUNCTION oms_topology.index_busy_audit(p_reads bigint, p_min_bytes bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
BEGIN
    IF to_regclass('oms_topology.meter_status_event_idx') IS NOT NULL
       OR pg_stat_get_numscans('oms_topology.meter_status_event'::regclass) < p_reads
       OR pg_relation_size('oms_topology.meter_status_event'::regclass) < p_min_bytes THEN
        RETURN false;
    END IF;
    LOCK TABLE oms_topology.meter_status_event IN SHARE ROW EXCLUSIVE MODE;
    IF to_regclass('oms_topology.meter_status_event_idx') IS NOT NULL THEN
        RETURN false;
    END IF;
    CREATE INDEX meter_status_event_idx ON oms_topology.meter_status_event (meter_id, event_timestamp DESC);
    RETURN true;
END $$;

-- Indexes what was sealed; readers go on meanwhile, and nobody writes there any more.
CREATE FUNCTION oms_topology.index_sealed_audit() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    seal    oms_topology.audit_seal;
    indexed integer := 0;
BEGIN
    FOR seal IN SELECT * FROM oms_topology.audit_seal WHERE NOT is_indexed ORDER BY seal_no FOR UPDATE SKIP LOCKED LOOP
        -- index_keys is one of the two texts above.
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON oms_topology.%I (%s)', seal.table_name || '_idx', seal.table_name, seal.index_keys);
        UPDATE oms_topology.audit_seal SET is_indexed = true WHERE seal_no = seal.seal_no;
        indexed := indexed + 1;
    END LOOP;
    RETURN indexed;
END $$;
