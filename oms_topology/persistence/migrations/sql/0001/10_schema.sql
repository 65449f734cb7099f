-- The schema in which everything stands that is ours alone, and the books of the upgrade.

CREATE SCHEMA IF NOT EXISTS oms_topology;

COMMENT ON SCHEMA oms_topology IS 'Tables and functions of the topology library; the deployed tables stay in public.';

CREATE TABLE IF NOT EXISTS oms_topology.schema_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT schema_version_pkc PRIMARY KEY (version_num)
);

COMMENT ON TABLE oms_topology.schema_version IS 'Which revision of the schema this database has.';

CREATE TABLE IF NOT EXISTS oms_topology.set_aside (
    set_aside_no bigint      GENERATED ALWAYS AS IDENTITY,
    table_name   text        NOT NULL,
    reason       text        NOT NULL,
    "row"        jsonb       NOT NULL,
    set_aside_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT set_aside_pkey PRIMARY KEY (set_aside_no)
);

COMMENT ON TABLE oms_topology.set_aside IS
    'Rows as they were before an upgrade changed or moved them; never read by the library, never cleared by it.';

CREATE TABLE IF NOT EXISTS oms_topology.upgrade_report (
    report_no   bigint      GENERATED ALWAYS AS IDENTITY,
    revision    text        NOT NULL,
    rule        text        NOT NULL,
    severity    text        NOT NULL,
    message     text        NOT NULL,
    remedy      text        NOT NULL DEFAULT '',
    ids         text[]      NOT NULL DEFAULT '{}',
    row_count   bigint      NOT NULL DEFAULT 0,
    reported_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT upgrade_report_pkey PRIMARY KEY (report_no),
    CONSTRAINT upgrade_report_severity_check CHECK (severity IN ('error', 'warning', 'note'))
);

COMMENT ON TABLE oms_topology.upgrade_report IS 'What each upgrade found, one row per kind of trouble.';

CREATE TABLE IF NOT EXISTS oms_topology.quarantined_mapping (
    quarantine_no  bigint      GENERATED ALWAYS AS IDENTITY,
    meter_id       uuid        NOT NULL,
    substation_id  uuid        NOT NULL,
    reason         text        NOT NULL,
    "row"          jsonb       NOT NULL,
    quarantined_at timestamptz NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT quarantined_mapping_pkey PRIMARY KEY (quarantine_no),
    CONSTRAINT quarantined_mapping_key UNIQUE (meter_id, substation_id, reason),
    CONSTRAINT quarantined_mapping_reason_check CHECK (reason IN ('fan_out', 'against_feeder', 'other_feeder'))
);

COMMENT ON TABLE oms_topology.quarantined_mapping IS
    'Rows of network_substation_meters that contradict what feeds the meter, as they were when they were first taken out; never used.';
COMMENT ON COLUMN oms_topology.quarantined_mapping.reason IS
    'fan_out: one of more than three of priority 3; against_feeder: to a substation that none of its feeders hangs on; other_feeder: the row stayed, and named a feeder that is not the meter''s.';
